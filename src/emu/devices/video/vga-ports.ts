/**
 * The VGA register files behind ports 3B0h-3BBh (monochrome addresses) and 3C0h-3DFh.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "Registers".
 * Not modelled: the vertical interrupt, switch sense, feature control outputs, gating by the subsystem enable
 * register (3C3h), light pen.
 */
import type { Saveable } from '#emu/bus/wires.ts';
import { Dac, type DacState } from './dac.ts';
import {
  ATTRIBUTE_REGISTERS,
  CR,
  CRTC_PROTECT,
  CRTC_REGISTERS,
  GR,
  GR_WRITABLE,
  MISC,
  OVERFLOW_LINE_COMPARE,
  SR,
  SR_WRITABLE,
  type VgaRegisterFiles,
} from './vga-registers.ts';

export interface VgaPortsState {
  sequencerIndex: number;
  sequencer: Uint8Array;
  graphicsIndex: number;
  graphics: Uint8Array;
  crtcIndex: number;
  crtc: Uint8Array;
  attributeIndex: number;
  attribute: Uint8Array;
  /** True when the next write to 3C0h is data. */
  attributeDataNext: boolean;
  miscOutput: number;
  featureControl: number;
  subsystemEnable: number;
  dac: DacState;
}

export interface VgaPortsParts {
  /** Input status register 1 now. */
  readonly inputStatus1: () => number;
  /** A register that decides what the CPU sees in video memory changed. */
  readonly onMemoryChange: () => void;
  /** A register that decides what is on the screen changed. */
  readonly onScreenChange: () => void;
  /** A register that decides when lines are scanned changed. */
  readonly onTimingChange: () => void;
}

/** Offsets from 3B0h; the CRTC and input status answer at Bxh or Dxh by miscellaneous output bit 0. */
const PORT = {
  attribute: 0x10,
  attributeData: 0x11,
  misc: 0x12,
  subsystemEnable: 0x13,
  sequencerIndex: 0x14,
  sequencerData: 0x15,
  pixelMask: 0x16,
  dacReadIndex: 0x17,
  dacWriteIndex: 0x18,
  dacData: 0x19,
  featureRead: 0x1a,
  miscRead: 0x1c,
  graphicsIndex: 0x1e,
  graphicsData: 0x1f,
  crtcIndex: 0x24,
  crtcData: 0x25,
  status1: 0x2a,
} as const;
const MONOCHROME_END = 0x10;
const COLOUR_START = 0x20;
const FLOATING = 0xff;

export class VgaPorts implements VgaRegisterFiles, Saveable<VgaPortsState> {
  readonly dac: Dac = new Dac();
  readonly sequencer: Uint8Array = new Uint8Array(SR_WRITABLE.length);
  readonly graphics: Uint8Array = new Uint8Array(GR_WRITABLE.length);
  readonly crtc: Uint8Array = new Uint8Array(CRTC_REGISTERS);
  readonly attribute: Uint8Array = new Uint8Array(ATTRIBUTE_REGISTERS);
  miscOutput = 0;
  attributeIndex = 0;
  #sequencerIndex = 0;
  #graphicsIndex = 0;
  #crtcIndex = 0;
  #attributeDataNext = false;
  #featureControl = 0;
  #subsystemEnable = 1;
  readonly #parts: VgaPortsParts;

  constructor(parts: VgaPortsParts) {
    this.#parts = parts;
  }

  reset(): void {
    this.sequencer.fill(0);
    this.graphics.fill(0);
    this.crtc.fill(0);
    this.attribute.fill(0);
    this.miscOutput = 0;
    this.attributeIndex = 0;
    this.#sequencerIndex = 0;
    this.#graphicsIndex = 0;
    this.#crtcIndex = 0;
    this.#attributeDataNext = false;
    this.#featureControl = 0;
    this.#subsystemEnable = 1;
    this.dac.reset();
  }

  /** Reads the byte port at 3B0h + `offset`. */
  read(offset: number): number {
    const port = this.#decode(offset);
    switch (port) {
      case PORT.attribute:
        return this.attributeIndex;
      case PORT.attributeData: {
        const index = this.attributeIndex & 0x1f;
        return index < ATTRIBUTE_REGISTERS ? this.attribute[index] : 0;
      }
      case PORT.misc:
        return 0; // Input status 0: no interrupt pending.
      case PORT.subsystemEnable:
        return this.#subsystemEnable;
      case PORT.sequencerIndex:
        return this.#sequencerIndex;
      case PORT.sequencerData:
        return this.#sequencerIndex < SR_WRITABLE.length ? this.sequencer[this.#sequencerIndex] : 0;
      case PORT.pixelMask:
        return this.dac.pixelMask;
      case PORT.dacReadIndex:
        return this.dac.accessState;
      case PORT.dacWriteIndex:
        return this.dac.writeIndex;
      case PORT.dacData:
        return this.dac.readData();
      case PORT.featureRead:
        return this.#featureControl;
      case PORT.miscRead:
        return this.miscOutput;
      case PORT.graphicsIndex:
        return this.#graphicsIndex;
      case PORT.graphicsData:
        return this.#graphicsIndex < GR_WRITABLE.length ? this.graphics[this.#graphicsIndex] : 0;
      case PORT.crtcIndex:
        return this.#crtcIndex;
      case PORT.crtcData:
        return this.#crtcIndex < CRTC_REGISTERS ? this.crtc[this.#crtcIndex] : 0;
      case PORT.status1:
        this.#attributeDataNext = false;
        return this.#parts.inputStatus1();
      default:
        return FLOATING;
    }
  }

  /** Writes the byte port at 3B0h + `offset`. */
  write(offset: number, value: number): void {
    switch (this.#decode(offset)) {
      case PORT.attribute:
        this.#writeAttribute(value);
        break;
      case PORT.misc:
        this.miscOutput = value;
        this.#parts.onMemoryChange();
        this.#parts.onScreenChange();
        this.#parts.onTimingChange();
        break;
      case PORT.subsystemEnable:
        this.#subsystemEnable = value & 1;
        break;
      case PORT.sequencerIndex:
        this.#sequencerIndex = value & 7;
        break;
      case PORT.sequencerData:
        this.#writeSequencer(value);
        break;
      case PORT.pixelMask:
        this.dac.pixelMask = value;
        this.#parts.onScreenChange();
        break;
      case PORT.dacReadIndex:
        this.dac.setReadIndex(value);
        break;
      case PORT.dacWriteIndex:
        this.dac.setWriteIndex(value);
        break;
      case PORT.dacData:
        if (this.dac.writeData(value)) this.#parts.onScreenChange();
        break;
      case PORT.graphicsIndex:
        this.#graphicsIndex = value & 15;
        break;
      case PORT.graphicsData:
        this.#writeGraphics(value);
        break;
      case PORT.crtcIndex:
        this.#crtcIndex = value & 0x3f;
        break;
      case PORT.crtcData:
        this.#writeCrtc(value);
        break;
      case PORT.status1:
        this.#featureControl = value;
        break;
    }
  }

  save(): VgaPortsState {
    return {
      sequencerIndex: this.#sequencerIndex,
      sequencer: this.sequencer.slice(),
      graphicsIndex: this.#graphicsIndex,
      graphics: this.graphics.slice(),
      crtcIndex: this.#crtcIndex,
      crtc: this.crtc.slice(),
      attributeIndex: this.attributeIndex,
      attribute: this.attribute.slice(),
      attributeDataNext: this.#attributeDataNext,
      miscOutput: this.miscOutput,
      featureControl: this.#featureControl,
      subsystemEnable: this.#subsystemEnable,
      dac: this.dac.save(),
    };
  }

  restore(state: VgaPortsState): void {
    this.#sequencerIndex = state.sequencerIndex;
    this.sequencer.set(state.sequencer);
    this.#graphicsIndex = state.graphicsIndex;
    this.graphics.set(state.graphics);
    this.#crtcIndex = state.crtcIndex;
    this.crtc.set(state.crtc);
    this.attributeIndex = state.attributeIndex;
    this.attribute.set(state.attribute);
    this.#attributeDataNext = state.attributeDataNext;
    this.miscOutput = state.miscOutput;
    this.#featureControl = state.featureControl;
    this.#subsystemEnable = state.subsystemEnable;
    this.dac.restore(state.dac);
  }

  /** Folds 3B0h-3BFh onto 3D0h-3DFh; the half that is switched off becomes -1. */
  #decode(offset: number): number {
    const colour = (this.miscOutput & MISC.colourAddresses) !== 0;
    if (offset < MONOCHROME_END) return colour ? -1 : offset + COLOUR_START;
    return offset >= COLOUR_START && !colour ? -1 : offset;
  }

  #writeAttribute(value: number): void {
    if (this.#attributeDataNext) {
      const index = this.attributeIndex & 0x1f;
      if (index < ATTRIBUTE_REGISTERS) this.attribute[index] = index < 0x10 ? value & 0x3f : value;
    } else {
      this.attributeIndex = value & 0x3f;
    }
    this.#attributeDataNext = !this.#attributeDataNext;
    this.#parts.onScreenChange();
  }

  #writeSequencer(value: number): void {
    const index = this.#sequencerIndex;
    if (index >= SR_WRITABLE.length) return;
    const stored = value & SR_WRITABLE[index];
    if (this.sequencer[index] === stored) return;
    this.sequencer[index] = stored;
    if (index === SR.mapMask || index === SR.memoryMode) this.#parts.onMemoryChange();
    // The map mask changes between pixels in planar drawing and never what is scanned out.
    if (index !== SR.mapMask) this.#parts.onScreenChange();
    if (index === SR.clockingMode) this.#parts.onTimingChange();
  }

  #writeGraphics(value: number): void {
    const index = this.#graphicsIndex;
    if (index >= GR_WRITABLE.length) return;
    const stored = value & GR_WRITABLE[index];
    if (this.graphics[index] === stored) return;
    this.graphics[index] = stored;
    this.#parts.onMemoryChange();
    if (index === GR.mode || index === GR.miscellaneous) this.#parts.onScreenChange();
  }

  #writeCrtc(value: number): void {
    const index = this.#crtcIndex;
    if (index >= CRTC_REGISTERS) return;
    let stored = value;
    if (index <= CR.overflow && this.crtc[CR.verticalRetraceEnd] & CRTC_PROTECT) {
      if (index !== CR.overflow) return;
      stored = (this.crtc[CR.overflow] & ~OVERFLOW_LINE_COMPARE) | (value & OVERFLOW_LINE_COMPARE);
    }
    this.crtc[index] = stored;
    this.#parts.onScreenChange();
    this.#parts.onTimingChange();
  }
}
