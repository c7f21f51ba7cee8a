/**
 * The AC'97 audio controller of an 82801AA (ICH), VirtualBox's usual sound card, with its codec.
 * Source: Intel 82801AA (ICH) and 82801AB (ICH0) data sheet (290655), section 13.
 *
 * BAR 0: registers of the codec. BAR 1: three bus masters (PCM in, PCM out, microphone in) and the link's control.
 * Not modelled: a second codec, modems.
 */
import type { Timers } from '#base/clock.ts';
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { DmaMemory, IrqLine, Saveable } from '#emu/bus/wires.ts';
import type { BarWindows } from '#emu/devices/pci/bar-windows.ts';
import {
  PCI_COMMAND,
  PCI_CONFIG,
  PCI_PIN,
  PciConfigSpace,
  type PciConfigState,
  type PciFunction,
} from '#emu/devices/pci/pci-function.ts';
import { SAMPLE_RATE, type SoundInput } from '#emu/host/sound.ts';
import { Ac97Channel, type Ac97ChannelState, MOST_DUE_BYTES } from './ac97-channel.ts';
import { GAIN_BITS, Stac9700, type Stac9700State } from './stac9700.ts';

/** Offsets in BAR 1 behind the three channels. */
const REG = { globalControl: 0x2c, globalStatus: 0x30, accessSemaphore: 0x34 } as const;
const GLOB_CNT = { interruptEnable: 1 << 0, notReset: 1 << 1, warmReset: 1 << 2 } as const;
const GLOB_CNT_WRITABLE = 0x3f;
const GLOB_STA = {
  pcmIn: 1 << 5,
  pcmOut: 1 << 6,
  microphone: 1 << 7,
  primaryReady: 1 << 8,
  /** A read of a codec that is not there. */
  readTimeout: 1 << 15,
} as const;
const CODEC_PORTS = 256;
const BUS_MASTER_PORTS = 64;
/** Registers of the second codec begin here. */
const SECOND_CODEC = 0x80;
/** What is handed on at once: whole frames. */
const STAGE_SAMPLES = 4096;

export interface Ac97Parts {
  readonly memory: DmaMemory;
  readonly timers: Timers;
  /** INTA#. */
  readonly interrupt: IrqLine;
  readonly windows: Pick<BarWindows, 'io'>;
  /** What is heard: see emu/host/sound.ts. Valid during the call. */
  readonly onSound: (samples: Int16Array) => void;
  /** What is recorded, from the microphone or the line in. */
  readonly input: SoundInput;
}

export interface Ac97State {
  readonly pci: PciConfigState;
  readonly codec: Stac9700State;
  readonly channels: readonly Ac97ChannelState[];
  readonly globalControl: number;
  readonly readTimeout: boolean;
  readonly semaphore: number;
}

export class Ac97 implements PciFunction, Saveable<Ac97State> {
  readonly #config: PciConfigSpace;
  readonly #codec = new Stac9700();
  readonly #pcmIn: Ac97Channel;
  readonly #pcmOut: Ac97Channel;
  readonly #microphone: Ac97Channel;
  readonly #onSound: (samples: Int16Array) => void;
  readonly #stage = new Int16Array(STAGE_SAMPLES + 1);
  readonly #stageBytes = new Uint8Array(this.#stage.buffer);
  #staged = 0;
  readonly #input: SoundInput;
  readonly #heard = new Int16Array(MOST_DUE_BYTES / 2 + 2);
  readonly #heardBytes = new Uint8Array(this.#heard.buffer);
  /** Samples at the front of `#heard` that are to be recorded next: 0, or 1 where a buffer has ended within a frame. */
  #kept = 0;
  #globalControl = 0;
  #readTimeout = false;
  #semaphore = 0;

  constructor(parts: Ac97Parts) {
    const { memory, timers } = parts;
    this.#onSound = parts.onSound;
    this.#input = parts.input;
    this.#config = new PciConfigSpace({
      identity: {
        ...{ vendorId: 0x8086, deviceId: 0x2415, classCode: 0x040100, revisionId: 0x01, subsystemVendorId: 0x8086 },
        interruptPin: PCI_PIN.inta,
      },
      bars: [
        { index: 0, space: 'io', byteCount: CODEC_PORTS, onMoved: parts.windows.io(CODEC_PORTS, this.#codecPorts()) },
        {
          ...{ index: 1, space: 'io', byteCount: BUS_MASTER_PORTS },
          onMoved: parts.windows.io(BUS_MASTER_PORTS, this.#busMasterPorts()),
        },
      ],
      interrupt: parts.interrupt,
    });
    this.#config.define(PCI_CONFIG.command, 2, 0, PCI_COMMAND.ioSpace | PCI_COMMAND.busMaster);
    const silence = new Uint8Array(MOST_DUE_BYTES);
    type Move = (at: number, byteCount: number) => void;
    const channel = (samplesPerSecond: number, move: Move, onSwitch?: (on: boolean) => void): Ac97Channel =>
      new Ac97Channel({
        ...{ memory, timers, samplesPerSecond, move, ...(onSwitch && { onSwitch }) },
        enabled: () => this.#config.busMaster,
        moved: () => this.#hand(),
        onInterrupt: () => this.#driveInterrupt(),
      });
    this.#pcmIn = channel(
      SAMPLE_RATE * 2,
      (at, byteCount) => this.#record(memory, at, byteCount),
      (on) => {
        this.#kept = 0;
        this.#input.record(on);
      },
    );
    this.#pcmOut = channel(SAMPLE_RATE * 2, (at, byteCount) => this.#play(memory, at, byteCount));
    // The codec has no converter of its own for a microphone.
    this.#microphone = channel(SAMPLE_RATE, (at, byteCount) => memory.write(at, silence.subarray(0, byteCount)));
  }

  readConfig(offset: number, width: Width): number {
    return this.#config.readConfig(offset, width);
  }

  writeConfig(offset: number, width: Width, value: number): void {
    this.#config.writeConfig(offset, width, value);
  }

  reset(): void {
    this.#config.reset();
    this.#codec.reset();
    this.#globalControl = 0;
    this.#readTimeout = false;
    this.#semaphore = 0;
    this.#staged = 0;
    for (const channel of this.#channels) channel.reset();
  }

  save(): Ac97State {
    return {
      channels: this.#channels.map((channel) => channel.save()),
      ...{ pci: this.#config.save(), codec: this.#codec.save(), globalControl: this.#globalControl },
      ...{ readTimeout: this.#readTimeout, semaphore: this.#semaphore },
    };
  }

  restore(state: Ac97State): void {
    this.#config.restore(state.pci);
    this.#codec.restore(state.codec);
    this.#globalControl = state.globalControl;
    this.#readTimeout = state.readTimeout;
    this.#semaphore = state.semaphore;
    this.#staged = 0;
    this.#channels.forEach((channel, i) => {
      channel.restore(state.channels[i]);
    });
  }

  get #channels(): readonly [Ac97Channel, Ac97Channel, Ac97Channel] {
    return [this.#pcmIn, this.#pcmOut, this.#microphone];
  }

  // The codec's registers, 16 bits each.

  #codecPorts(): IoDevice {
    return {
      read: (offset, width) => this.#readCodec(offset, width),
      write: (offset, width, value) => {
        this.#semaphore = 0;
        // Only words are taken to the codec.
        if (width === 2 && offset < SECOND_CODEC && this.#isLinkUp) this.#codec.write(offset & 0x7e, value);
      },
    };
  }

  #readCodec(offset: number, width: Width): number {
    this.#semaphore = 0;
    if (offset >= SECOND_CODEC || !this.#isLinkUp) {
      this.#readTimeout = true;
      return width === 4 ? 0xffff_ffff : width === 2 ? 0xffff : 0xff;
    }
    const word = this.#codec.read(offset & 0x7e);
    if (width === 1) return (word >> ((offset & 1) * 8)) & 0xff;
    return width === 2 ? word : (word | (this.#codec.read((offset + 2) & 0x7e) << 16)) >>> 0;
  }

  get #isLinkUp(): boolean {
    return (this.#globalControl & GLOB_CNT.notReset) !== 0;
  }

  // Bus masters and control.

  #busMasterPorts(): IoDevice {
    return {
      read: (offset, width) => this.#readBusMaster(offset, width),
      write: (offset, width, value) => this.#writeBusMaster(offset, width, value),
    };
  }

  #channelAt(offset: number): Ac97Channel | undefined {
    if (offset < 0x10) return this.#pcmIn;
    if (offset < 0x20) return this.#pcmOut;
    return offset < REG.globalControl ? this.#microphone : undefined;
  }

  #readBusMaster(offset: number, width: Width): number {
    const channel = this.#channelAt(offset);
    if (channel) return channel.read(offset & 0xf, width);
    if (offset === REG.accessSemaphore) {
      // Whoever reads 0 has it, until the codec is accessed.
      const value = this.#semaphore;
      this.#semaphore = 1;
      return value;
    }
    const at = offset & ~3;
    const word = at === REG.globalControl ? this.#globalControl : at === REG.globalStatus ? this.#globalStatus : 0;
    const value = word >>> ((offset & 3) * 8);
    return width === 4 ? value : value & (width === 2 ? 0xffff : 0xff);
  }

  #writeBusMaster(offset: number, width: Width, value: number): void {
    const channel = this.#channelAt(offset);
    if (channel) channel.write(offset & 0xf, width, value);
    else if (offset === REG.globalControl) this.#control(value);
    else if ((offset & ~3) === REG.globalStatus) {
      if ((value << ((offset & 3) * 8)) & GLOB_STA.readTimeout) this.#readTimeout = false;
    }
  }

  #control(value: number): void {
    const wasUp = this.#isLinkUp;
    // A warm reset, which wakes a sleeping link, is over at once.
    this.#globalControl = value & GLOB_CNT_WRITABLE & ~GLOB_CNT.warmReset;
    if (wasUp && !this.#isLinkUp) this.#codec.reset();
    if (!this.#isLinkUp) for (const one of this.#channels) one.reset();
  }

  get #globalStatus(): number {
    return (
      (this.#pcmIn.interrupting ? GLOB_STA.pcmIn : 0) |
      (this.#pcmOut.interrupting ? GLOB_STA.pcmOut : 0) |
      (this.#microphone.interrupting ? GLOB_STA.microphone : 0) |
      (this.#isLinkUp ? GLOB_STA.primaryReady : 0) |
      (this.#readTimeout ? GLOB_STA.readTimeout : 0)
    );
  }

  #driveInterrupt(): void {
    this.#config.setInterrupt(this.#channels.some((channel) => channel.interrupting));
  }

  // Samples.

  #play(memory: DmaMemory, at: number, byteCount: number): void {
    if (this.#staged * 2 + byteCount > STAGE_SAMPLES * 2) this.#hand();
    memory.read(at, this.#stageBytes.subarray(this.#staged * 2, this.#staged * 2 + byteCount));
    this.#staged += byteCount / 2;
  }

  #record(memory: DmaMemory, at: number, byteCount: number): void {
    const heard = this.#heard;
    const wanted = byteCount / 2;
    const end = this.#kept + ((wanted - this.#kept + 1) & ~1);
    const fresh = heard.subarray(this.#kept, end);
    this.#input.read(fresh);
    const [left, right] = this.#codec.recordGains;
    for (let i = 0; i < fresh.length; i += 2) {
      fresh[i] = amplified(fresh[i], left);
      fresh[i + 1] = amplified(fresh[i + 1], right);
    }
    memory.write(at, this.#heardBytes.subarray(0, byteCount));
    heard[0] = heard[wanted];
    this.#kept = end - wanted;
  }

  /** Whole frames go on, at the codec's volume; half of one waits for its other half. */
  #hand(): void {
    const count = this.#staged & ~1;
    if (count === 0) return;
    const stage = this.#stage;
    const [left, right] = this.#codec.gains;
    for (let i = 0; i < count; i += 2) {
      stage[i] = amplified(stage[i], left);
      stage[i + 1] = amplified(stage[i + 1], right);
    }
    this.#onSound(stage.subarray(0, count));
    if (this.#staged > count) stage[0] = stage[count];
    this.#staged -= count;
  }
}

function amplified(sample: number, gain: number): number {
  const value = Math.floor((sample * gain) / 2 ** GAIN_BITS);
  return Math.max(-32_768, Math.min(32_767, value));
}
