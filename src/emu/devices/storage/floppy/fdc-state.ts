import { RATE, type Rate } from './floppy-geometry.ts';

/**
 * What the 82077AA remembers between accesses.
 * Source: Intel 82077AA data sheet, 4.0 (reset) and 5.2.7 (CONFIGURE defaults).
 */
export interface SeekState {
  busy: boolean;
  /** Guest time of the last step, in ns. */
  deadline: number;
  /** Pulses to give, outwards negative. */
  pulses: number;
  /** PCN afterwards. */
  target: number;
  /** ST0 of the finished seek that SENSE INTERRUPT has not fetched, or -1. */
  st0: number;
  endSt0: number;
}

export interface Fdc82077State {
  dor: number;
  tdr: number;
  rate: Rate;
  phase: 'command' | 'execution' | 'result';
  command: number[];
  result: number[];
  interrupt: boolean;
  /** Guest time of the interrupt after a reset, or -1. */
  pollDeadline: number;
  /** Drives whose "ready changed" SENSE INTERRUPT has not fetched yet; 4 is none. */
  resetSense: number;
  stepRate: number;
  headUnload: number;
  headLoad: number;
  nonDma: boolean;
  config: number;
  precompTrack: number;
  locked: boolean;
  perpendicular: number;
  /** PCN of each drive: where the controller thinks the head is. */
  presentCylinder: number[];
  seeks: SeekState[];
  /** Sector that READ ID finds next. */
  nextId: number;
  lastEot: number;
}

/** CONFIGURE: FIFO off, polling on, threshold 0, no implied seek. */
const CONFIG_POWER_ON = 0x20;
export const CONFIG = { impliedSeek: 1 << 6, fifoOff: 1 << 5, pollOff: 1 << 4, threshold: 0x0f } as const;

export const noSeek = (): SeekState => ({ busy: false, deadline: 0, pulses: 0, target: 0, st0: -1, endSt0: 0 });

export const powerOn = (): Fdc82077State => ({
  dor: 0,
  tdr: 0,
  rate: RATE.kbps250,
  phase: 'command',
  command: [],
  result: [],
  interrupt: false,
  pollDeadline: -1,
  resetSense: 4,
  stepRate: 0,
  headUnload: 0,
  headLoad: 0,
  nonDma: false,
  config: CONFIG_POWER_ON,
  precompTrack: 0,
  locked: false,
  perpendicular: 0,
  presentCylinder: [0, 0, 0, 0],
  seeks: [noSeek(), noSeek(), noSeek(), noSeek()],
  nextId: 1,
  lastEot: 0,
});
