/**
 * HGSMI, VirtualBox's host-guest shared memory interface: the guest leaves buffers in video memory and writes their
 * offsets to a port; the host answers inside them. A word of flags in video memory and an interrupt go the other way.
 * Source: VirtualBox's public guest headers HGSMIDefs.h, HGSMIChSetup.h and HGSMIChannels.h.
 * Not modelled: buffers in parts, channels named by strings, buffers that the host sends.
 */
import type { IoDevice } from '#emu/bus/io-bus.ts';
import type { IrqLine, Saveable } from '#emu/bus/wires.ts';

/** Guest-visible state. */
export interface HgsmiState {
  /** Where the guest wants the host's flags, an offset in video memory; -1: nowhere yet. */
  readonly flagsAt: number;
  readonly interrupting: boolean;
}

export interface HgsmiParts {
  readonly vram: Uint8Array;
  /** One byte for each page of `vram`, set by whoever writes. */
  readonly dirtyMap: Uint8Array;
  readonly interrupt: IrqLine;
  /** A buffer of channel `channel`; what is written into `buffer` is the answer. */
  readonly onCommand: (channel: number, command: number, buffer: DataView) => void;
}

export const HGSMI_CHANNEL = { hgsmi: 1, vbva: 2 } as const;

/** Bits of the host's flags. */
export const HOST_FLAG = { interrupt: 0x02, hotplug: 0x20, cursorCapabilities: 0x40 } as const;
const CLEARED_FLAGS = HOST_FLAG.interrupt | 0x10 | HOST_FLAG.hotplug | HOST_FLAG.cursorCapabilities;

/** Buffer: a header of 16 bytes, data, a tail of 8. */
const HEADER = { dataSize: 0, flags: 4, channel: 5, channelInfo: 6, bytes: 16 } as const;
const TAIL = { checksum: 4, bytes: 8 } as const;
const SEQUENCE_MASK = 3;

/** Of channel `hgsmi`: where the guest keeps the host's flags. */
const HOST_FLAGS_LOCATION = 0;
const NO_OFFSET = 0xffff_ffff;

export class Hgsmi implements Saveable<HgsmiState> {
  /** 3D0h: the guest's buffers. Takes 32-bit accesses. */
  readonly guestPort: IoDevice;
  /** 3B0h: what the host has for the guest; all ones acknowledges its interrupt. Takes 32-bit accesses. */
  readonly hostPort: IoDevice;
  readonly #parts: HgsmiParts;
  readonly #view: DataView;
  #flagsAt = -1;
  #interrupting = false;

  constructor(parts: HgsmiParts) {
    this.#parts = parts;
    const { vram } = parts;
    this.#view = new DataView(vram.buffer, vram.byteOffset, vram.length);
    // Commands are carried out at once, and the host sends no buffers: both ports have nothing to say.
    const read = (): number => NO_OFFSET;
    this.guestPort = {
      read,
      write: (offset, width, value) => {
        if (offset === 0 && width === 4) this.#submit(value);
      },
    };
    this.hostPort = {
      read,
      write: (offset, width, value) => {
        if (offset === 0 && width === 4 && value === NO_OFFSET) this.#acknowledge();
      },
    };
  }

  /** The guest has said where it looks for the host's flags. */
  get hasFlags(): boolean {
    return this.#flagsAt >= 0;
  }

  reset(): void {
    this.#flagsAt = -1;
    this.#interrupt(false);
  }

  /** Sets bits of HOST_FLAG and interrupts the guest; does nothing before it has given the flags a place. */
  notify(flags: number): void {
    if (!this.hasFlags) return;
    this.#setFlags(this.#flags | flags | HOST_FLAG.interrupt);
    this.#interrupt(true);
  }

  save(): HgsmiState {
    return { flagsAt: this.#flagsAt, interrupting: this.#interrupting };
  }

  restore(state: HgsmiState): void {
    this.#flagsAt = state.flagsAt;
    this.#interrupt(state.interrupting);
  }

  #submit(at: number): void {
    const { vram } = this.#parts;
    const view = this.#view;
    if (at + HEADER.bytes + TAIL.bytes > vram.length) return;
    const size = view.getUint32(at + HEADER.dataSize, true);
    const tail = at + HEADER.bytes + size;
    if (tail + TAIL.bytes > vram.length) return;
    if ((view.getUint8(at + HEADER.flags) & SEQUENCE_MASK) !== 0) return;
    if (view.getUint32(tail + TAIL.checksum, true) !== hgsmiChecksum(view, at, size)) return;
    const channel = view.getUint8(at + HEADER.channel);
    const command = view.getUint16(at + HEADER.channelInfo, true);
    const data = new DataView(vram.buffer, vram.byteOffset + at + HEADER.bytes, size);
    if (channel === HGSMI_CHANNEL.hgsmi) this.#setUp(command, data);
    else this.#parts.onCommand(channel, command, data);
    this.#parts.dirtyMap.fill(1, at >>> 12, (tail >>> 12) + 1);
  }

  #setUp(command: number, data: DataView): void {
    if (command !== HOST_FLAGS_LOCATION || data.byteLength < 8) return;
    const at = data.getUint32(0, true);
    // Drivers say it again whenever they look at the monitors; what waits for them there stays.
    if (at + 4 > this.#view.byteLength || at === this.#flagsAt) return;
    this.#flagsAt = at;
    this.#setFlags(0);
  }

  #acknowledge(): void {
    if (this.hasFlags) this.#setFlags(this.#flags & ~CLEARED_FLAGS);
    this.#interrupt(false);
  }

  get #flags(): number {
    return this.#view.getUint32(this.#flagsAt, true);
  }

  #setFlags(flags: number): void {
    this.#view.setUint32(this.#flagsAt, flags >>> 0, true);
    this.#parts.dirtyMap[this.#flagsAt >>> 12] = 1;
  }

  #interrupt(asserted: boolean): void {
    this.#interrupting = asserted;
    this.#parts.interrupt.set(asserted);
  }
}

/**
 * Bob Jenkins's one-at-a-time hash over the buffer's offset, its header and the first word of its tail.
 * @param at offset of the header in video memory, `size` bytes of data behind it
 */
export function hgsmiChecksum(view: DataView, at: number, size: number): number {
  let hash = 0;
  const add = (byte: number): void => {
    hash = (hash + byte) | 0;
    hash = (hash + (hash << 10)) | 0;
    hash ^= hash >>> 6;
  };
  for (let shift = 0; shift < 32; shift += 8) add((at >>> shift) & 0xff);
  for (let i = 0; i < HEADER.bytes; i++) add(view.getUint8(at + i));
  for (let i = 0; i < TAIL.checksum; i++) add(view.getUint8(at + HEADER.bytes + size + i));
  hash = (hash + (hash << 3)) | 0;
  hash ^= hash >>> 11;
  return (hash + (hash << 15)) >>> 0;
}
