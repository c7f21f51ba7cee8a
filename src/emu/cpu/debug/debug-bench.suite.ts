/** A CPU that runs a few instructions, and a client that speaks the remote serial protocol to its stub, for tests. */
import { IoBus } from '#emu/bus/io-bus.ts';
import { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { Cpu, type CpuEntry, type Crash } from '../cpu.ts';
import { LINEAR } from '../state/layout.ts';
import { createLinearMemory } from '../wasm/host.ts';
import { CpuDebugger } from './cpu-debugger.ts';
import { encodePacket, PacketReader } from './gdb-packets.ts';
import { GdbServer } from './gdb-server.ts';
import type { Architecture } from './target-description.ts';

const RAM_BYTES = 4 << 20;
export const CODE = 0x10000;
export const STACK = 0x30000;
export const GDT = 0x1000;
export const IDT = 0x2000;

const flat = (selector: number, attributes: number): CpuEntry['cs'] => ({
  ...{ selector, base: 0, limit: 0xffff_ffff, attributes },
});

export class DebugBench {
  readonly cpu: Cpu;
  readonly memory: PhysicalMemory;
  readonly target: CpuDebugger;
  readonly server: GdbServer;
  readonly crashes: Crash[] = [];
  running = false;
  ended = false;
  /** Data of packets from the stub that nobody has taken. */
  readonly packets: string[] = [];
  acks = 0;
  nacks = 0;
  readonly #reader = new PacketReader();

  constructor(architecture: Architecture = 'i386') {
    const linear = createLinearMemory(LINEAR.guest + RAM_BYTES);
    this.memory = new PhysicalMemory({
      ...{ buffer: linear.buffer, pageMapAt: LINEAR.pageMap, dirtyMapAt: LINEAR.dirtyMap },
    });
    this.memory.mapBacked(0, RAM_BYTES, LINEAR.guest, 'ram');
    this.cpu = new Cpu({
      ...{ linear, physical: this.memory, ports: new IoBus(), interrupts: { acknowledge: () => 0x40 }, tsc: () => 0 },
      onCrash: (crash) => this.crashes.push(crash),
    });
    const bench = this;
    const run = {
      get running() {
        return bench.running;
      },
      pause: () => {
        bench.running = false;
      },
      resume: () => {
        bench.running = true;
      },
      reset: () => bench.cpu.reset(),
      end: () => {
        bench.ended = true;
      },
    };
    this.target = new CpuDebugger(this.cpu, this.memory, run, architecture);
    this.server = new GdbServer(this.target, (bytes) => this.#receive(bytes));
  }

  /** Flat protected mode at `CODE`, interrupts off, GDT and IDT empty but for what the test puts there. */
  load(code: readonly number[], idtLimit = 0): void {
    // Null, code, data.
    const descriptors = [0, 0, 0xffff, 0x00cf_9b00, 0xffff, 0x00cf_9300];
    descriptors.forEach((word, i) => {
      this.memory.writeSized(GDT + i * 4, 4, word);
    });
    this.memory.write(CODE, Uint8Array.from(code));
    this.cpu.enter({
      eip: CODE,
      registers: { eax: 0, ebx: 0x20000, ecx: 0, edx: 0, esp: STACK, ebp: 0, esi: 0, edi: 0 },
      ...{ eflags: 2, cr0: 0x11, gdt: { base: GDT, limit: 23 }, idt: { base: IDT, limit: idtLimit } },
      ...{ cs: flat(8, 0xcf9b), data: flat(16, 0xcf93) },
    });
  }

  /** An interrupt gate for `vector` to `handler`. */
  gate(vector: number, handler: number): void {
    this.memory.writeSized(IDT + vector * 8, 4, (8 << 16) | (handler & 0xffff));
    this.memory.writeSized(IDT + vector * 8 + 4, 4, ((handler & 0xffff_0000) | 0x8e00) >>> 0);
  }

  attach(): void {
    this.server.attach();
  }

  /** Sends one packet. @returns what the stub answered, or undefined when it has not yet */
  ask(data: string): string | undefined {
    this.server.receive(encodePacket(data));
    return this.packets.shift();
  }

  send(bytes: readonly number[]): void {
    this.server.receive(Uint8Array.from(bytes));
  }

  /** Runs the machine as its owner does. @returns what the stub said when it stopped, or undefined */
  run(instructions = 1_000_000): string | undefined {
    for (let left = instructions; this.running && left > 0; left -= 10_000) {
      const exit = this.cpu.run(Math.min(left, 10_000));
      if (exit === 'debug') {
        this.running = false;
        this.server.stopped(this.target.takeReason());
      }
      if (exit === 'halt' || exit === 'shutdown') break;
    }
    return this.packets.shift();
  }

  #receive(bytes: Uint8Array): void {
    for (const one of this.#reader.push(bytes)) {
      if (one.kind === 'packet') this.packets.push(String.fromCharCode(...one.data));
      else if (one.kind === 'ack') this.acks++;
      else if (one.kind === 'damaged') throw new Error('the stub sent a wrong checksum');
      else if (one.kind === 'nack') this.nacks++;
    }
  }
}
