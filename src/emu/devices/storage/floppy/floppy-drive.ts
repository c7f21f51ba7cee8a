import type { Saveable } from '#emu/bus/wires.ts';
import type { BlockPort } from '#emu/host/block.ts';
import { FLOPPY_DRIVES, type FloppyDriveType, type FloppyGeometry, geometryOf, type Rate } from './floppy-geometry.ts';

/**
 * A diskette drive: head, disk change latch and the diskette in it.
 * Source: Intel 82077AA data sheet, 2.1.7 (DSKCHG); PS/2 Hardware Interface Technical Reference (diskette drive).
 * Not modelled: motor and rotation; a 40-track diskette is double-stepped only in the 1.2M drive, where software does so.
 */
export interface FloppyDriveParts {
  readonly type: FloppyDriveType;
  readonly medium?: BlockPort;
  readonly activity?: (kind: 'read' | 'write') => void;
}

export interface FloppyDriveState {
  cylinder: number;
  changed: boolean;
}

export class FloppyDrive implements Saveable<FloppyDriveState> {
  readonly type: FloppyDriveType;
  readonly activity: (kind: 'read' | 'write') => void;
  #medium: BlockPort | undefined;
  #geometry: FloppyGeometry | undefined;
  /** Where the head is: a physical position. */
  #cylinder = 0;
  /** DSKCHG: latched when the diskette leaves, cleared by a step with a diskette in the drive. */
  #changed = true;

  /** @throws CodedError<'unsupported-size' | 'too-large'> */
  constructor(parts: FloppyDriveParts) {
    this.type = parts.type;
    this.activity = parts.activity ?? (() => {});
    this.insert(parts.medium);
  }

  get medium(): BlockPort | undefined {
    return this.#medium;
  }

  get geometry(): FloppyGeometry | undefined {
    return this.#geometry;
  }

  get changed(): boolean {
    return this.#changed;
  }

  get atTrack0(): boolean {
    return this.#cylinder === 0;
  }

  get writeProtected(): boolean {
    return this.#medium !== undefined && !this.#medium.writable;
  }

  /**
   * Puts a diskette in, or takes it out with undefined. The old one stays when the new one does not fit.
   * @throws CodedError<'unsupported-size' | 'too-large'>
   */
  insert(medium: BlockPort | undefined): void {
    this.#geometry = medium ? geometryOf(medium.sectorCount, this.type) : undefined;
    this.#medium = medium;
    this.#changed = true;
  }

  /** The button: nothing holds a diskette back. */
  eject(): void {
    this.insert(undefined);
  }

  /** Step pulses; negative ones go outwards to track 0. */
  step(pulses: number): void {
    if (pulses === 0) return;
    this.#cylinder = Math.max(0, Math.min(FLOPPY_DRIVES[this.type].cylinders - 1, this.#cylinder + pulses));
    if (this.#medium) this.#changed = false;
  }

  /** Pulses outwards until the track 0 sensor answers. */
  get pulsesToTrack0(): number {
    return this.#cylinder;
  }

  /** The diskette's cylinder under the head, or undefined where no address mark is found at that rate. */
  cylinderUnderHead(head: number, rate: Rate): number | undefined {
    const g = this.#geometry;
    if (!g?.rates.includes(rate) || g.heads <= head) return undefined;
    const doubleStep = this.type === '1.2M' && g.cylinders === 40;
    if (doubleStep && this.#cylinder & 1) return undefined;
    const cylinder = doubleStep ? this.#cylinder >> 1 : this.#cylinder;
    return cylinder < g.cylinders ? cylinder : undefined;
  }

  save(): FloppyDriveState {
    return { cylinder: this.#cylinder, changed: this.#changed };
  }

  /** The host has given the diskette of the saved machine to the constructor or `insert`. */
  restore(state: FloppyDriveState): void {
    this.#cylinder = state.cylinder;
    this.#changed = state.changed;
  }
}
