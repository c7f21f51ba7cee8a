/** A network card on a bench: memory, ports, a clock moved by hand, and a wire whose far end is the test's. */
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { IoBus, type Width } from '#emu/bus/io-bus.ts';
import type { DmaMemory, IrqLine, Saveable } from '#emu/bus/wires.ts';
import { BarWindows } from '#emu/devices/pci/bar-windows.ts';
import type { PciFunction } from '#emu/devices/pci/pci-function.ts';
import { NetworkCable } from '#emu/host/network-cable.ts';
import { Inbox } from '#emu/host/packet-port.suite.ts';
import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import { DIRTY_MAP_BYTES, PAGE_MAP_BYTES, PhysicalMemory } from '#emu/memory/physical-memory.ts';

export const MAC: Uint8Array = Uint8Array.of(0x08, 0, 0x27, 0x12, 0x34, 0x56);

export interface CardParts {
  readonly mac: Uint8Array;
  readonly memory: DmaMemory;
  readonly timers: TimerQueue;
  readonly interrupt: IrqLine;
  readonly windows: BarWindows;
  readonly port: PacketPort;
}

export interface TestedCard extends PciFunction, Saveable<unknown> {}

const RAM_BYTES = 0x40_0000;
const RAM_AT = PAGE_MAP_BYTES + DIRTY_MAP_BYTES;
const IO_BASE = 0xc000;
const MEMORY_BASE = 0xf000_0000;

export class CardBench {
  readonly memory: PhysicalMemory;
  readonly ports = new IoBus();
  readonly clock = new ManualClock();
  readonly timers = new TimerQueue(this.clock);
  readonly cable: NetworkCable;
  readonly far: PacketPort;
  /** What the card sent. */
  readonly inbox = new Inbox();
  readonly card: TestedCard;
  interrupt = false;
  /** How often the interrupt came on. */
  interrupts = 0;
  #nextAllocation = 0x1_0000;

  constructor(make: (parts: CardParts) => TestedCard) {
    const buffer = new SharedArrayBuffer(RAM_AT + RAM_BYTES);
    this.memory = new PhysicalMemory({ buffer, pageMapAt: 0, dirtyMapAt: PAGE_MAP_BYTES });
    this.memory.mapBacked(0, RAM_BYTES, RAM_AT, 'ram');
    const [near, far] = createWire();
    this.cable = new NetworkCable(near, true);
    this.far = far;
    far.connect(this.inbox);
    far.setLink(true);
    this.card = make({
      mac: MAC,
      memory: this.memory,
      timers: this.timers,
      interrupt: {
        set: (asserted) => {
          if (asserted && !this.interrupt) this.interrupts++;
          this.interrupt = asserted;
        },
      },
      windows: new BarWindows({ ports: this.ports, memory: this.memory }),
      port: this.cable,
    });
  }

  /** Puts BARs on the buses and lets the card master them, as a BIOS and a driver do. @returns each BAR's base */
  enable(): number[] {
    const { card } = this;
    const bases: number[] = [];
    let [io, memory] = [IO_BASE, MEMORY_BASE];
    for (let bar = 0; bar < 6; bar++) {
      const at = 0x10 + bar * 4;
      card.writeConfig(at, 4, 0xffff_ffff);
      const sizing = card.readConfig(at, 4);
      const isIo = (sizing & 1) !== 0;
      const size = (~(sizing & (isIo ? 0xffff_fffc : 0xffff_fff0)) + 1) >>> 0;
      if (sizing === 0) {
        bases.push(0);
        continue;
      }
      const bytes = isIo ? size & 0xffff : size;
      const base = isIo ? (io = align(io, bytes)) : (memory = align(memory, bytes));
      card.writeConfig(at, 4, base);
      bases.push(base);
      if (isIo) io += bytes;
      else memory += bytes;
    }
    card.writeConfig(4, 2, 7);
    return bases;
  }

  /** Physical address of fresh zeroed memory. */
  allocate(byteCount: number): number {
    const at = this.#nextAllocation;
    this.#nextAllocation = align(at + byteCount, 4096);
    return at;
  }

  read(at: number, width: Width): number {
    return this.memory.readSized(at, width);
  }

  write(at: number, width: Width, value: number): void {
    this.memory.writeSized(at, width, value);
  }

  bytes(at: number, byteCount: number): Uint8Array {
    const into = new Uint8Array(byteCount);
    this.memory.read(at, into);
    return into;
  }

  /** Lets guest time pass, with every timer on the way. */
  pass(ns: number): void {
    const end = this.clock.now() + ns;
    while (this.timers.nextDeadline <= end) {
      this.clock.advance(this.timers.nextDeadline - this.clock.now());
      this.timers.runExpired();
    }
    this.clock.advance(end - this.clock.now());
    this.timers.runExpired();
  }
}

const align = (at: number, to: number): number => Math.ceil(at / to) * to;
