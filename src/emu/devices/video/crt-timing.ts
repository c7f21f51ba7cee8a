/**
 * Where the beam is: display enable and vertical retrace as functions of guest time.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "CRT Controller Registers" and
 * "Input Status Register 1".
 * Not modelled: skew fields, interlace, CRTC mode bits that halve the vertical count.
 */
import type { Dispi } from './dispi.ts';
import { CLOCKING_MODE, CR, MISC, SR, type VgaRegisterFiles } from './vga-registers.ts';

export interface CrtTiming {
  readonly lineNs: number;
  readonly frameNs: number;
  /** Share of a line that is display, 0..1. */
  readonly activeShare: number;
  readonly displayLines: number;
  readonly retraceStart: number;
  /** First line after vertical retrace. */
  readonly retraceEnd: number;
}

const DOT_CLOCK_HZ = [25_175_000, 28_322_000, 25_175_000, 28_322_000] as const;
const LINEAR_MODE_HZ = 60;
/** 80x25 text: what an unprogrammed controller is taken for, so that a guest that waits for retrace gets on. */
const TEXT_TIMING: CrtTiming = timing(31_778, 449, 400, 412, 414, 0.8);

/** The scan of the current mode. Linear modes, which have no CRTC values, refresh at 60 Hz. */
export function crtTiming(registers: VgaRegisterFiles, dispi: Dispi): CrtTiming {
  if (dispi.enabled) {
    const lines = Math.ceil(dispi.height * 1.05) + 3;
    return timing(1e9 / LINEAR_MODE_HZ / lines, lines, dispi.height, dispi.height + 1, dispi.height + 3, 0.8);
  }
  const { crtc, sequencer, miscOutput } = registers;
  const overflow = crtc[CR.overflow];
  const characters = crtc[CR.horizontalTotal] + 5;
  const lines = (crtc[CR.verticalTotal] | ((overflow & 1) << 8) | ((overflow & 0x20) << 4)) + 2;
  if (crtc[CR.horizontalTotal] === 0 || lines < 100) return TEXT_TIMING;
  const dots = sequencer[SR.clockingMode] & CLOCKING_MODE.eightDots ? 8 : 9;
  const clock = DOT_CLOCK_HZ[(miscOutput >> MISC.clockShift) & 3];
  const halved = sequencer[SR.clockingMode] & CLOCKING_MODE.halfDotClock ? 2 : 1;
  const start = crtc[CR.verticalRetraceStart] | ((overflow & 4) << 6) | ((overflow & 0x80) << 2);
  // The end register holds only the low four bits of the line at which retrace ends.
  const length = (crtc[CR.verticalRetraceEnd] - start) & 15 || 16;
  return timing(
    (characters * dots * halved * 1e9) / clock,
    lines,
    verticalDisplayLines(crtc),
    Math.min(start, lines - 2),
    Math.min(start + length, lines),
    Math.min(1, (crtc[CR.horizontalDisplayEnd] + 1) / characters),
  );
}

/** Scan lines of display, 1..1024. */
export function verticalDisplayLines(crtc: Uint8Array): number {
  const overflow = crtc[CR.overflow];
  return (crtc[CR.verticalDisplayEnd] | ((overflow & 2) << 7) | ((overflow & 0x40) << 3)) + 1;
}

const STATUS_DISPLAY_OFF = 1 << 0;
const STATUS_RETRACE = 1 << 3;
const STATUS_FEEDBACK_SHIFT = 4;

/** Input status register 1 at a guest time in nanoseconds. */
export function inputStatus1(scan: CrtTiming, nowNs: number): number {
  const inFrame = nowNs % scan.frameNs;
  const line = Math.floor(inFrame / scan.lineNs);
  const inLine = inFrame - line * scan.lineNs;
  const display = line < scan.displayLines && inLine < scan.lineNs * scan.activeShare;
  const retrace = scan.retraceStart <= line && line < scan.retraceEnd;
  // Bits 4 and 5 feed pixel bits back; self-tests only look that they change.
  const feedback = display ? Math.floor(inLine / 40) & 3 : 0;
  return (display ? 0 : STATUS_DISPLAY_OFF) | (retrace ? STATUS_RETRACE : 0) | (feedback << STATUS_FEEDBACK_SHIFT);
}

function timing(
  lineNs: number,
  lines: number,
  displayLines: number,
  retraceStart: number,
  retraceEnd: number,
  activeShare: number,
): CrtTiming {
  return { lineNs, frameNs: lineNs * lines, activeShare, displayLines, retraceStart, retraceEnd };
}
