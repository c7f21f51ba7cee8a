/** A terminal on a serial port. Source: xterm.js 6 API; ECMA-48 for what it shows. */
import { FitAddon } from '@xterm/addon-fit';
import { type ITheme, Terminal } from '@xterm/xterm';
import { SerialLink, type SerialRings } from './serial-link.ts';

const THEME: ITheme = {
  background: '#10131a',
  foreground: '#d8dee9',
  cursor: '#ffb454',
  selectionBackground: '#3b4a63',
};

/** Lives as long as its machine; it is shown in one place of the page at a time, or in none. */
export class SerialTerminal {
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  readonly #link: SerialLink;
  #observer: ResizeObserver | undefined;
  #host: HTMLElement | undefined;

  constructor(rings: SerialRings) {
    this.#terminal = new Terminal({
      fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace',
      fontSize: 13,
      scrollback: 5000,
      cursorBlink: true,
      screenReaderMode: false,
      theme: THEME,
    });
    this.#terminal.loadAddon(this.#fit);
    // The callback comes when the piece is on the screen: only then is the next one fetched from the ring.
    const sink = (bytes: Uint8Array): Promise<void> => new Promise((resolve) => this.#terminal.write(bytes, resolve));
    this.#link = new SerialLink(rings, sink);
    const encoder = new TextEncoder();
    this.#terminal.onData((text) => this.#link.send(encoder.encode(text)));
    this.#terminal.onBinary((text) => this.#link.send(Uint8Array.from(text, (c) => c.charCodeAt(0))));
  }

  /** The end of what the guest has sent. */
  get text(): string {
    return this.#link.text;
  }

  send(text: string): void {
    this.#link.send(new TextEncoder().encode(text));
  }

  /** Shows the terminal in `host`, which it fills. */
  attach(host: HTMLElement): void {
    this.detach();
    this.#host = host;
    const { element } = this.#terminal;
    if (element) host.append(element);
    else this.#terminal.open(host);
    this.#observer = new ResizeObserver(() => this.#refit());
    this.#observer.observe(host);
    this.#refit();
  }

  detach(): void {
    this.#observer?.disconnect();
    this.#observer = undefined;
    this.#host = undefined;
    this.#terminal.element?.remove();
  }

  focus(): void {
    this.#terminal.focus();
  }

  stop(): void {
    this.detach();
    this.#link.stop();
    this.#terminal.dispose();
  }

  #refit(): void {
    if (this.#host && this.#host.clientWidth > 0 && this.#host.clientHeight > 0) this.#fit.fit();
  }
}
