/** What a person does, as the machine's input devices take it. */
export interface KeyboardInput {
  /** Scan code set 1 bytes as an AT keyboard behind a translating 8042 sends them (0xE0 prefixes and break bits included). */
  putScancodes(set1: readonly number[]): void;
}

export interface MouseInput {
  /**
   * @param dx right positive, in counts
   * @param dy down positive, in counts
   * @param dz wheel notches, towards the person positive
   * @param buttons bit 0 left, bit 1 right, bit 2 middle, bits 3 and 4 the fourth and fifth (back and forward)
   * @param dw notches of the horizontal wheel, to the left positive, as VirtualBox's `IMouse::putMouseEvent` has them
   */
  move(dx: number, dy: number, dz: number, buttons: number, dw: number): void;
  /**
   * Puts the pointer somewhere, where the guest takes positions (`SharedFrame.takesPositions`).
   * @param x, y 0 to 65535 from the left and top to the right and bottom of the whole desktop
   */
  point?(x: number, y: number): void;
}
