/** Full screen, and the keys that browsers give a page only there. */

/** What a browser keeps for itself unless a page in full screen asks for it. */
const LOCKED_KEYS = ['Escape', 'AltLeft', 'AltRight', 'MetaLeft', 'MetaRight', 'Tab', 'F11'];

interface KeyboardLock {
  lock(codes: readonly string[]): Promise<void>;
}

/** @throws when the browser refuses */
export async function toggleFullscreen(element: HTMLElement | null, then: () => void): Promise<void> {
  if (document.fullscreenElement) await document.exitFullscreen();
  else {
    await element?.requestFullscreen();
    // Chromium only: keys such as Esc and Alt-Tab then reach the guest.
    const { keyboard } = navigator as { readonly keyboard?: KeyboardLock };
    await keyboard?.lock(LOCKED_KEYS).catch(() => {});
  }
  then();
}
