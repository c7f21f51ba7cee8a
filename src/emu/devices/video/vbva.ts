/**
 * VBVA, the graphics channel of HGSMI: the guest tells what its monitors show and asks what they would like to be.
 * Source: VirtualBox's public guest header VBoxVideo.h (VBVA_*).
 * Not modelled: rectangles that changed (page tracking finds them, so the host's events word stays 0 and drivers send
 * none), video overlays, scan line queries, pixels of a pointer
 * that invert what is below them (they are black).
 */
import type { Saveable } from '#emu/bus/wires.ts';
import { FRAME, MAX_POINTER_SIDE, type PointerShape } from '#emu/host/frame.ts';
import type { ModeHint } from './display-adapter.ts';
import { describeBlank, describeSurface, type ScreenSource } from './vga-frame.ts';

const COMMAND = {
  queryConf32: 1,
  infoView: 3,
  infoScreen: 6,
  enable: 7,
  mousePointerShape: 8,
  infoCaps: 12,
  queryModeHints: 19,
} as const;

const CONF32 = {
  monitorCount: 0,
  hostHeapBytes: 1,
  modeHintReporting: 2,
  guestCursorReporting: 3,
  cursorCapabilities: 4,
  screenFlags: 5,
  maxRecordBytes: 6,
} as const;
const HOST_HEAP_BYTES = 0x1_0000;
const MAX_RECORD_BYTES = 0x1_0000;

const SCREEN_FLAG = { active: 1, disabled: 2, blank: 4, blank2: 8 } as const;
const ALL_SCREEN_FLAGS = 15;
const ENABLE_FLAG = { enable: 1, disable: 2, extended: 4 } as const;
const POINTER_FLAG = { visible: 1, alpha: 2, shape: 4 } as const;
const POINTER_HEADER_BYTES = 24;
/** Of the host: it draws the pointer where it is. */
const HARDWARE_CURSOR = 2;
/** What a guest's driver can do. */
const CAPABILITY = { interrupt: 2, modeHints: 4 } as const;

const STATUS = { success: 0, invalidParameter: -2, notSupported: -37 } as const;

const HINT_MAGIC = 0x0801_add9;
const HINT_WORDS = 8;
const ANYWHERE = 0xffff_ffff;
const UNTOUCHED = 0xffff_ffff;

const MOST_SIDE = 8192;
const MOST_PIXELS: number = 3840 * 2160;
const DEPTHS: readonly number[] = [8, 16, 24, 32];
/** Of a monitor that the guest has not set a mode for. */
const UNSET = { width: 640, height: 480 } as const;

/** One monitor as the guest described it. */
interface Monitor {
  /** The guest's driver has taken it over. */
  enabled: boolean;
  /** Where its part of video memory begins, from the next description on. */
  viewOffset: number;
  /** Pixels right of and below the first monitor's corner. */
  originX: number;
  originY: number;
  /** Byte offset of the first pixel in video memory. */
  startAddress: number;
  pitch: number;
  width: number;
  height: number;
  bpp: number;
  /** SCREEN_FLAG; 0 before the guest has set a mode. */
  flags: number;
}

/** Guest-visible state. */
export interface VbvaState {
  readonly capabilities: number;
  readonly monitors: readonly Readonly<Monitor>[];
  /** What the host would like; a hint a monitor, undefined: it never said. */
  readonly hints: readonly (ModeHint | undefined)[];
  /** Undefined: the guest has never said. */
  readonly pointer: PointerShape | undefined;
}

export interface VbvaParts {
  readonly monitorCount: number;
  readonly vramBytes: number;
  /** Of the VGA, for colours of 8 bits a pixel. */
  readonly source: ScreenSource;
}

const newMonitor = (): Monitor => ({
  enabled: false,
  ...{ viewOffset: 0, originX: 0, originY: 0, startAddress: 0, pitch: 0, ...UNSET, bpp: 0, flags: 0 },
});

export class Vbva implements Saveable<VbvaState> {
  readonly #parts: VbvaParts;
  readonly #monitors: Monitor[];
  readonly #hints: (ModeHint | undefined)[];
  readonly #changed: boolean[];
  #capabilities = 0;
  #pointer: PointerShape | undefined;

  constructor(parts: VbvaParts) {
    this.#parts = parts;
    const { monitorCount } = parts;
    this.#monitors = Array.from({ length: monitorCount }, newMonitor);
    this.#hints = new Array<ModeHint | undefined>(monitorCount).fill(undefined);
    this.#changed = new Array<boolean>(monitorCount).fill(true);
  }

  /** Drivers are gone; what the host would like is not. */
  reset(): void {
    this.#capabilities = 0;
    this.#pointer = undefined;
    for (let monitor = 0; monitor < this.#monitors.length; monitor++) {
      this.#monitors[monitor] = newMonitor();
      this.#changed[monitor] = true;
    }
  }

  /** The guest's driver takes interrupts and asks for hints then. */
  get listens(): boolean {
    const both = CAPABILITY.interrupt | CAPABILITY.modeHints;
    return (this.#capabilities & both) === both;
  }

  /** As the guest has set it; another object for each. */
  get pointer(): PointerShape | undefined {
    return this.#pointer;
  }

  /** The box around all monitors that the guest uses. */
  get desktop(): { readonly x: number; readonly y: number; readonly width: number; readonly height: number } {
    let [left, top, right, bottom] = [0, 0, 0, 0];
    this.#monitors.forEach(({ originX, originY, width, height }, monitor) => {
      if (monitor > 0 && !this.#isAttached(monitor)) return;
      left = Math.min(left, originX);
      top = Math.min(top, originY);
      right = Math.max(right, originX + width);
      bottom = Math.max(bottom, originY + height);
    });
    return { x: left, y: top, width: right - left, height: bottom - top };
  }

  /** The guest shows something on this monitor by its driver; until then the first one is the VGA's. */
  isDriven(monitor: number): boolean {
    const { enabled, flags } = this.#monitors[monitor];
    return enabled && flags !== 0;
  }

  takeChanged(monitor: number): boolean {
    const changed = this.#changed[monitor];
    this.#changed[monitor] = false;
    return changed;
  }

  /** Fills a frame record. */
  describe(record: Uint32Array, monitor: number): void {
    const m = this.#monitors[monitor];
    const { source } = this.#parts;
    const isDark = (m.flags & ~SCREEN_FLAG.active) !== 0 || !this.isDriven(monitor) || !DEPTHS.includes(m.bpp);
    if (isDark) describeBlank(record, m.width, m.height);
    else describeSurface(record, source, m);
    record[FRAME.originX] = m.originX;
    record[FRAME.originY] = m.originY;
    if (this.#isAttached(monitor)) record[FRAME.attached] = 1;
  }

  setHint(hint: ModeHint): void {
    this.#hints[hint.monitor] = hint;
  }

  /** Carries a command out and answers in its buffer. What makes no sense is passed over. */
  carryOut(command: number, buffer: DataView): void {
    switch (command) {
      case COMMAND.queryConf32:
        if (buffer.byteLength >= 8) this.#queryConf(buffer);
        break;
      case COMMAND.infoView:
        if (buffer.byteLength >= 16) this.#infoView(buffer);
        break;
      case COMMAND.infoScreen:
        if (buffer.byteLength >= 32) this.#infoScreen(buffer);
        break;
      case COMMAND.enable:
        if (buffer.byteLength >= 12) this.#enable(buffer);
        break;
      case COMMAND.mousePointerShape:
        if (buffer.byteLength >= POINTER_HEADER_BYTES) buffer.setInt32(0, this.#setPointer(buffer), true);
        break;
      case COMMAND.infoCaps:
        if (buffer.byteLength < 8) break;
        this.#capabilities = buffer.getUint32(4, true);
        buffer.setInt32(0, STATUS.success, true);
        break;
      case COMMAND.queryModeHints:
        if (buffer.byteLength >= 8) buffer.setInt32(4, this.#writeHints(buffer), true);
        break;
    }
  }

  save(): VbvaState {
    return {
      capabilities: this.#capabilities,
      monitors: this.#monitors.map((monitor) => ({ ...monitor })),
      hints: [...this.#hints],
      pointer: this.#pointer,
    };
  }

  restore(state: VbvaState): void {
    this.#capabilities = state.capabilities;
    state.monitors.forEach((monitor, i) => {
      this.#monitors[i] = { ...monitor };
    });
    state.hints.forEach((hint, i) => {
      this.#hints[i] = hint;
    });
    this.#pointer = state.pointer;
    this.#changed.fill(true);
  }

  #queryConf(buffer: DataView): void {
    const answer = this.#conf(buffer.getUint32(0, true));
    if (answer !== undefined) buffer.setUint32(4, answer, true);
  }

  #conf(index: number): number | undefined {
    switch (index) {
      case CONF32.monitorCount:
        return this.#parts.monitorCount;
      case CONF32.hostHeapBytes:
        return HOST_HEAP_BYTES;
      case CONF32.modeHintReporting:
      case CONF32.guestCursorReporting:
        return STATUS.success;
      case CONF32.cursorCapabilities:
        return HARDWARE_CURSOR;
      case CONF32.screenFlags:
        return ALL_SCREEN_FLAGS;
      case CONF32.maxRecordBytes:
        return MAX_RECORD_BYTES;
      default:
        return undefined;
    }
  }

  #isAttached(monitor: number): boolean {
    return monitor === 0 || (this.isDriven(monitor) && (this.#monitors[monitor].flags & SCREEN_FLAG.disabled) === 0);
  }

  /** A shape, or whether the last one is seen. @returns STATUS */
  #setPointer(buffer: DataView): number {
    const flags = buffer.getUint32(4, true);
    const visible = (flags & POINTER_FLAG.visible) !== 0;
    if ((flags & POINTER_FLAG.shape) === 0) {
      this.#pointer = { ...(this.#pointer ?? NO_SHAPE), visible };
      return STATUS.success;
    }
    const [hotX, hotY, width, height] = [8, 12, 16, 20].map((at) => buffer.getUint32(at, true));
    const isPossible = width > 0 && width <= MAX_POINTER_SIDE && height > 0 && height <= MAX_POINTER_SIDE;
    if (!isPossible) return STATUS.notSupported;
    const maskRow = (width + 7) >> 3;
    const colours = POINTER_HEADER_BYTES + ((maskRow * height + 3) & ~3);
    if (colours + width * height * 4 > buffer.byteLength) return STATUS.invalidParameter;
    const pixels = new Uint32Array(width * height);
    for (let i = 0; i < pixels.length; i++) {
      const colour = buffer.getUint32(colours + i * 4, true);
      const [x, y] = [i % width, Math.floor(i / width)];
      const isMasked = (buffer.getUint8(POINTER_HEADER_BYTES + y * maskRow + (x >> 3)) & (0x80 >> (x & 7))) !== 0;
      pixels[i] = flags & POINTER_FLAG.alpha ? swapped(colour) : unblended(colour & 0xff_ffff, isMasked);
    }
    this.#pointer = {
      visible,
      hotX: Math.min(hotX, width - 1),
      hotY: Math.min(hotY, height - 1),
      width,
      height,
      pixels,
    };
    return STATUS.success;
  }

  #infoView(buffer: DataView): void {
    const monitor = this.#monitors[buffer.getUint32(0, true)];
    const offset = buffer.getUint32(4, true);
    if (monitor && offset < this.#parts.vramBytes) monitor.viewOffset = offset;
  }

  #infoScreen(buffer: DataView): void {
    const index = buffer.getUint32(0, true);
    const old = this.#monitors[index];
    if (!old) return;
    const flags = buffer.getUint16(30, true) & ALL_SCREEN_FLAGS;
    this.#changed[index] = true;
    // Neither asks for another size.
    if (flags & (SCREEN_FLAG.disabled | SCREEN_FLAG.blank2)) {
      old.flags = flags;
      return;
    }
    const screen: Monitor = {
      enabled: old.enabled,
      viewOffset: old.viewOffset,
      originX: buffer.getInt32(4, true),
      originY: buffer.getInt32(8, true),
      startAddress: old.viewOffset + buffer.getUint32(12, true),
      pitch: buffer.getUint32(16, true),
      width: buffer.getUint32(20, true),
      height: buffer.getUint32(24, true),
      bpp: buffer.getUint16(28, true),
      flags,
    };
    if (this.#exists(screen)) this.#monitors[index] = screen;
  }

  /** All that is shown lies in video memory. */
  #exists({ startAddress, pitch, width, height, bpp, flags }: Monitor): boolean {
    if (width < 1 || width > MOST_SIDE || height < 1 || height > MOST_SIDE || width * height > MOST_PIXELS)
      return false;
    if (flags & SCREEN_FLAG.blank) return true;
    const end = startAddress + pitch * (height - 1) + width * (bpp >> 3);
    return pitch >= width * (bpp >> 3) && end <= this.#parts.vramBytes;
  }

  #enable(buffer: DataView): void {
    const flags = buffer.getUint32(0, true);
    const isExtended = (flags & ENABLE_FLAG.extended) !== 0 && buffer.byteLength >= 16;
    const index = isExtended ? buffer.getUint32(12, true) : 0;
    const monitor = this.#monitors[index];
    buffer.setInt32(8, monitor ? STATUS.success : STATUS.invalidParameter, true);
    if (!monitor) return;
    const enabled = (flags & (ENABLE_FLAG.enable | ENABLE_FLAG.disable)) === ENABLE_FLAG.enable;
    this.#monitors[index] = { ...(enabled ? monitor : newMonitor()), enabled };
    this.#changed[index] = true;
  }

  /** Hints behind a header of 8 bytes, each as long as the guest knows them; all ones is nothing. @returns STATUS */
  #writeHints(buffer: DataView): number {
    const count = buffer.getUint16(0, true);
    const bytes = buffer.getUint16(2, true);
    if (8 + count * bytes > buffer.byteLength) return STATUS.invalidParameter;
    for (let i = 0; i < count; i++) {
      const words = this.#hintWords(i);
      for (let word = 0; word * 4 + 4 <= bytes; word++) {
        buffer.setUint32(8 + i * bytes + word * 4, words[word] ?? UNTOUCHED, true);
      }
    }
    return STATUS.success;
  }

  #hintWords(index: number): readonly number[] {
    const hint = this.#hints[index];
    if (!hint) return new Array<number>(HINT_WORDS).fill(UNTOUCHED);
    const { monitor, enabled, width, height, origin } = hint;
    const at = [origin?.x ?? ANYWHERE, origin?.y ?? ANYWHERE];
    return [HINT_MAGIC, width, height, 32, monitor, ...at, enabled ? 1 : 0];
  }
}

const NO_SHAPE: PointerShape = { visible: true, hotX: 0, hotY: 0, width: 0, height: 0, pixels: new Uint32Array(0) };
const OPAQUE = 0xff00_0000;

/** Bytes B, G, R, A to R, G, B, A. */
const swapped = (colour: number): number =>
  ((colour & 0xff00_ff00) | ((colour & 0xff) << 16) | ((colour >>> 16) & 0xff)) >>> 0;

/** A pixel of a pointer without alpha: masked and without colour, what is below shows through. */
function unblended(colour: number, isMasked: boolean): number {
  if (!isMasked) return (swapped(colour) | OPAQUE) >>> 0;
  return colour === 0 ? 0 : OPAQUE;
}
