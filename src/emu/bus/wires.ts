/** One interrupt wire. Level: `set(true)` twice is one assertion. Edge-triggered inputs see the change. */
export interface IrqLine {
  set(asserted: boolean): void;
}

/** What a CPU asks of its interrupt controller. */
export interface InterruptSource {
  /** The INTA cycle: the vector (0..255) of the highest-priority request, which is now in service. */
  acknowledge(): number;
}

/** One 8237 channel as its device sees it. */
export interface DmaChannel {
  /** Bytes the guest programmed for the transfer that are still to move; 0 when masked or at terminal count. */
  readonly remainingBytes: number;
  /** Device to memory: returns how many of `bytes` were taken (fewer at terminal count). */
  writeToMemory(bytes: Uint8Array): number;
  /** Memory to device: fills `into`, returns how many bytes were valid. */
  readFromMemory(into: Uint8Array): number;
  /** True once the programmed count has run out (TC), until reprogrammed. */
  readonly terminalCount: boolean;
}

/** Physical memory as a bus-mastering device sees it. */
export interface DmaMemory {
  /** Copies guest memory into `into`; bytes where nothing answers read as 0xff. `at` is guest-physical. */
  read(at: number, into: Uint8Array): void;
  /** Copies `from` into guest memory; code pages are invalidated, ROM and holes ignore it. */
  write(at: number, from: Uint8Array): void;
  readU16(at: number): number;
  readU32(at: number): number;
}

/**
 * A part whose guest-visible state is one plain record.
 * `restore` takes a record made by `save` of the same version; the part's wires are driven again from it.
 */
export interface Saveable<State> {
  /** A copy: plain data (numbers, strings, booleans, arrays, typed arrays), safe for structuredClone. */
  save(): State;
  restore(state: State): void;
}

/** Where devices send message-signalled interrupts. */
export interface MessageInterrupts {
  /**
   * A memory write of 32 bits to the messages' address range.
   * @returns false when `address` is outside it: an ordinary write to memory then
   */
  message(address: number, data: number): boolean;
}
