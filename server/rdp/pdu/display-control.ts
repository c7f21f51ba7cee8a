/** PDUs of the display control channel. Source: [MS-RDPEDISP] 2.2.1 (header), 2.2.2 (messages). */
import { PduError, PduReader, PduWriter } from './bytes.ts';

/** 2.2.1.1, Type. */
const PDU = { monitorLayout: 2, capabilities: 5 } as const;
const MONITOR_BYTES = 40;
/** Bit of a monitor's flags. */
const PRIMARY = 1;
/** 2.2.2.2.1: sides of a monitor, in pixels. */
const LEAST_SIDE = 200;
const MOST_SIDE = 8192;
const MAX_MONITORS = 16;

export interface ScreenSize {
  readonly width: number;
  readonly height: number;
}

/** So many screens of at most so many pixels each. */
export const encodeDisplayCapabilities = (count: number, { width, height }: ScreenSize): Uint8Array =>
  new PduWriter().u32(PDU.capabilities).u32(20).u32(count).u32(width).u32(height).done();

/**
 * @returns the sizes that the client would like its screens to have, the primary one first; none: it says something else, or
 * asks for what no monitor may be
 * @throws PduError
 */
export function decodeMonitorLayout(message: Uint8Array): ScreenSize[] {
  const r = new PduReader(message);
  if (r.u32() !== PDU.monitorLayout) return [];
  r.skip(4);
  const bytes = r.u32();
  const count = r.u32();
  if (bytes < MONITOR_BYTES || count > MAX_MONITORS) {
    throw new PduError('a layout of monitors makes no sense', { bytes, count });
  }
  const wanted: ScreenSize[] = [];
  for (let i = 0; i < count; i++) {
    const monitor = r.part(bytes);
    const flags = monitor.u32();
    monitor.skip(8);
    const size = { width: monitor.u32(), height: monitor.u32() };
    if (flags & PRIMARY) wanted.unshift(size);
    else wanted.push(size);
  }
  const isPossible = (side: number): boolean => LEAST_SIDE <= side && side <= MOST_SIDE;
  return wanted.every(({ width, height }) => isPossible(width) && isPossible(height)) ? wanted : [];
}
