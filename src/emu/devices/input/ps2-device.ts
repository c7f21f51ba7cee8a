/**
 * The serial link between a PS/2 device and its controller, a byte at a time.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and auxiliary device controller".
 * Not modelled: bits on the clock and data lines, parity.
 */

/** A keyboard or mouse as the 8042 sees it. The device keeps its bytes until the controller takes them. */
export interface Ps2Device {
  /** A command or parameter byte from the controller. */
  receive(byte: number): void;
  /** The next byte the device sends, or -1 when it has none now. */
  take(): number;
  /** Called when `take` may have a byte after it had none. Set by the controller. */
  onData: () => void;
}

/** Answers every PS/2 device gives. */
export const PS2_REPLY = { selfTestPassed: 0xaa, echo: 0xee, acknowledge: 0xfa, resend: 0xfe } as const;
