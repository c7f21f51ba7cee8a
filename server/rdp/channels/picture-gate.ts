/** Which pictures of a coded video a client gets: none whose predecessors it lacks, and fewer while it is slow. */
import type { VideoPicture } from '#display/desktop/desktop.ts';

export class PictureGate {
  readonly #wantKey: () => void;
  #needsKey = true;

  /** @param wantKey a picture is needed that builds upon no other */
  constructor(wantKey: () => void) {
    this.#wantKey = wantKey;
  }

  /**
   * @param hasRoom the client can take more
   * @returns false: it is left out, since the client is slow or lacks what it builds upon
   */
  accepts({ isKey, layer }: VideoPicture, hasRoom: boolean): boolean {
    if (!hasRoom && layer === 0) this.#needsKey = true;
    if (!hasRoom) return false;
    if (this.#needsKey && !isKey) {
      this.#wantKey();
      return false;
    }
    this.#needsKey = false;
    return true;
  }

  /** The client has lost what it had. */
  reset(): void {
    this.#needsKey = true;
  }
}
