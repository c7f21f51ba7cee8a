import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { DmaMemory, Saveable } from '#emu/bus/wires.ts';
import {
  PCI_COMMAND,
  PCI_CONFIG,
  PciConfigSpace,
  type PciConfigState,
  type PciFunction,
} from '#emu/devices/pci/pci-function.ts';
import { BusMaster, type BusMasterState } from './bus-master.ts';
import type { IdeChannel, IdeChannelState } from './ide-channel.ts';

/**
 * The PCI IDE function of the PIIX family, in compatibility mode.
 * Source: Intel 82371FB/82371SB (PIIX/PIIX3) data sheet, 2.3 (IDE configuration registers);
 * 82371AB (PIIX4) data sheet, 4.1; ICH6 data sheet, 11.1.
 * Not modelled: what the timing registers do to the cable (they hold what is written), native mode.
 *
 * A channel answers at its legacy ports while I/O space is on and its IDETIM has the decode bit.
 */
export type PiixModel = 'piix3' | 'piix4' | 'ich6';

const DEVICE_IDS: Readonly<Record<PiixModel, number>> = { piix3: 0x7010, piix4: 0x7111, ich6: 0x266f };

const REGISTER = {
  /** Two 16-bit timing registers, primary then secondary. */
  idetim: 0x40,
  sidetim: 0x44,
  /** PIIX4: Ultra DMA control and timing. */
  udmactl: 0x48,
  udmatim: 0x4a,
  /** ICH: I/O configuration, cable reporting in bits 4..7. */
  ideConfig: 0x54,
} as const;
const IDETIM_DECODE = 1 << 15;

export interface PiixIdeParts {
  readonly memory: DmaMemory;
  /** Primary and secondary. */
  readonly channels: readonly [IdeChannel, IdeChannel];
  readonly model?: PiixModel;
  /** IDETIM's decode bits are set after a reset: OVMF, written for QEMU where they have no effect, does not set them. */
  readonly decodesAtReset?: boolean;
  /** BAR 4 (16 ports of `busMasterBlock`) moved; undefined when it is not decoded. */
  readonly onBusMasterMoved: (base: number | undefined) => void;
}

export interface PiixIdeState {
  config: PciConfigState;
  busMasters: BusMasterState[];
  channels: IdeChannelState[];
}

export class PiixIde implements PciFunction, Saveable<PiixIdeState> {
  /** Command blocks for 1F0h and 170h: eight ports each, widths up to 4. */
  readonly commandBlocks: readonly [IoDevice, IoDevice];
  /** Control blocks for 3F6h and 376h: one port each. */
  readonly controlBlocks: readonly [IoDevice, IoDevice];
  /** The 16 ports at BAR 4, widths up to 4. */
  readonly busMasterBlock: IoDevice;
  readonly #config: PciConfigSpace;
  readonly #channels: readonly [IdeChannel, IdeChannel];
  readonly #busMasters: readonly [BusMaster, BusMaster];
  /** Whether each channel answers at its legacy ports; kept because PIO asks for every word. */
  readonly #decodes: [boolean, boolean] = [false, false];

  constructor(parts: PiixIdeParts) {
    const model = parts.model ?? 'piix3';
    this.#channels = parts.channels;
    this.#config = new PciConfigSpace({
      identity: { vendorId: 0x8086, deviceId: DEVICE_IDS[model], classCode: 0x010180 },
      bars: [{ index: 4, space: 'io', byteCount: 16, onMoved: parts.onBusMasterMoved }],
    });
    this.#defineRegisters(model, parts.decodesAtReset ?? false);
    const enabled = (): boolean => this.#config.busMaster;
    this.#busMasters = [
      new BusMaster({ memory: parts.memory, channel: parts.channels[0], enabled }),
      new BusMaster({ memory: parts.memory, channel: parts.channels[1], enabled }),
    ];
    this.commandBlocks = [
      this.#decoded(0, parts.channels[0].commandBlock),
      this.#decoded(1, parts.channels[1].commandBlock),
    ];
    this.controlBlocks = [
      this.#decoded(0, parts.channels[0].controlBlock),
      this.#decoded(1, parts.channels[1].controlBlock),
    ];
    this.busMasterBlock = {
      read: (offset, width) => this.#busMasters[offset < 8 ? 0 : 1].read(offset & 7, width),
      write: (offset, width, value) => this.#busMasters[offset < 8 ? 0 : 1].write(offset & 7, width, value),
    };
  }

  /** No drive waits for its medium: `save` may be called. */
  get idle(): boolean {
    return this.#channels.every((c) => c.idle);
  }

  readConfig(offset: number, width: Width): number {
    return this.#config.readConfig(offset, width);
  }

  writeConfig(offset: number, width: Width, value: number): void {
    this.#config.writeConfig(offset, width, value);
    this.#updateDecode();
    // Bus mastering may have been switched on under a waiting transfer.
    if (offset <= PCI_CONFIG.command) for (const master of this.#busMasters) master.pump();
  }

  /** RST#, which the function passes on to both cables. */
  reset(): void {
    this.#config.reset();
    this.#updateDecode();
    for (const master of this.#busMasters) master.reset();
    for (const channel of this.#channels) channel.reset();
  }

  /** @throws CodedError<'busy'> unless `idle`. */
  save(): PiixIdeState {
    return {
      config: this.#config.save(),
      busMasters: this.#busMasters.map((m) => m.save()),
      channels: this.#channels.map((c) => c.save()),
    };
  }

  restore(state: PiixIdeState): void {
    this.#config.restore(state.config);
    this.#updateDecode();
    // The channels drive their wires again, which would set the interrupt bit of a bus master not yet restored.
    this.#channels.forEach((channel, i) => {
      channel.restore(state.channels[i]);
    });
    this.#busMasters.forEach((master, i) => {
      master.restore(state.busMasters[i]);
    });
  }

  #defineRegisters(model: PiixModel, decodesAtReset: boolean): void {
    const config = this.#config;
    config.define(PCI_CONFIG.command, 2, 0, PCI_COMMAND.ioSpace | PCI_COMMAND.busMaster);
    config.define(PCI_CONFIG.cacheLineSize, 1, 0);
    config.define(PCI_CONFIG.status, 2, 0x0280, 0, 0x3800);
    const timing = decodesAtReset ? IDETIM_DECODE : 0;
    config.define(REGISTER.idetim, 4, timing | (timing << 16), 0xffff_ffff);
    config.define(REGISTER.sidetim, 1, 0, 0xff);
    if (model === 'piix3') return;
    config.define(REGISTER.udmactl, 1, 0, 0x0f);
    config.define(REGISTER.udmatim, 2, 0, 0x3333);
    // Cables with 80 conductors at all four positions.
    if (model === 'ich6') config.define(REGISTER.ideConfig, 4, 0x00f0, 0x000f_f00f);
  }

  #updateDecode(): void {
    const ioSpace = (this.#config.command & PCI_COMMAND.ioSpace) !== 0;
    for (const i of [0, 1] as const) {
      this.#decodes[i] = ioSpace && (this.#config.readConfig(REGISTER.idetim + i * 2, 2) & IDETIM_DECODE) !== 0;
    }
  }

  /** A block at legacy ports: silent unless the function decodes them. */
  #decoded(index: 0 | 1, block: IoDevice): IoDevice {
    const decodes = this.#decodes;
    return {
      read: (offset, width) => {
        if (decodes[index]) return block.read(offset, width);
        return width === 4 ? 0xffff_ffff : width === 2 ? 0xffff : 0xff;
      },
      write: (offset, width, value) => {
        if (decodes[index]) block.write(offset, width, value);
      },
    };
  }
}
