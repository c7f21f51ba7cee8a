/** The CPU and its memory as a debugger's target. Whoever owns the machine brings the run control. */
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import type { Cpu } from '../cpu.ts';
import { STATE } from '../state/layout.ts';
import { CR0, EFER } from '../system/control-bits.ts';
import { instructionLine, stateText } from './crash-report.ts';
import { ExecutionControl, type StopReason } from './execution-control.ts';
import { toHex } from './gdb-packets.ts';
import type { BreakKind, GdbTarget } from './gdb-server.ts';
import { QuietMemory, type WalkStep } from './quiet-memory.ts';
import { type Register, registerBytes } from './registers.ts';
import type { Architecture } from './target-description.ts';

/** The machine around the CPU. */
export interface RunControl {
  readonly running: boolean;
  pause(): void;
  resume(): void;
  reset(): void;
  end(): void;
}

const MONITOR_HELP = [
  'info              registers, segments and tables',
  'walk ADDRESS      the page-table entries behind a linear address',
  'phys ADDRESS [N]  N bytes of guest-physical memory',
  'reset             the reset button',
];
const DUMP_BYTES = 16;
const DUMP_LIMIT = 4096;

export class CpuDebugger implements GdbTarget {
  readonly control = new ExecutionControl();
  readonly #cpu: Cpu;
  readonly #memory: QuietMemory;
  readonly #run: RunControl;
  readonly #architecture: Architecture | undefined;

  /** @param architecture what GDB is told; undefined: what the guest seems to be when it asks */
  constructor(cpu: Cpu, physical: PhysicalMemory, run: RunControl, architecture?: Architecture) {
    this.#architecture = architecture;
    this.#cpu = cpu;
    this.#memory = new QuietMemory(cpu.state, physical);
    this.#run = run;
  }

  /**
   * One for the whole session, because GDB cannot change it. In long mode the 64-bit one; before an operating system has
   * turned paging on, what the CPU is capable of.
   */
  get architecture(): Architecture {
    if (this.#architecture) return this.#architecture;
    const { state, system } = this.#cpu;
    if (!system.features.config.longMode) return 'i386';
    const isPaging = (state.get(STATE.cr0) & CR0.pg) !== 0;
    return isPaging && (state.get(STATE.efer) & EFER.lma) === 0 ? 'i386' : 'i386:x86-64';
  }

  get running(): boolean {
    return this.#run.running;
  }

  halt(): void {
    this.#run.pause();
    this.#observe();
  }

  resume(step: boolean): void {
    this.control.prepare(step, this.#cpu.nextLinear);
    this.#observe();
    this.#run.resume();
  }

  /** The CPU came back with 'debug'. */
  takeReason(): StopReason {
    return this.control.takeReason() ?? { kind: 'interrupted' };
  }

  /**
   * Gives every instruction that is executed to `sink` as a line of a listing, which makes the machine slow.
   * @param from linear address at which it begins, once it is reached; undefined: at once
   * @param sink returns false when it wants no more
   */
  traceFrom(from: number | undefined, sink: (line: string) => boolean): void {
    const { state, decoder } = this.#cpu;
    let last = Number.NaN;
    const show = (): boolean => {
      const eip = state.long ? state.address(STATE.eip) : state.get(STATE.eip) >>> 0;
      const { text } = instructionLine(state, decoder, this.#memory, eip);
      // A repeated string instruction comes by once an iteration; one line is enough.
      const again = eip === last && / rep/.test(text);
      last = eip;
      return again || sink(text);
    };
    this.control.showFrom(from, show);
    this.#observe();
  }

  readRegister(register: Register): Uint8Array {
    const bytes = new Uint8Array(registerBytes(register));
    register.read(this.#cpu.state, new DataView(bytes.buffer));
    return bytes;
  }

  writeRegister(register: Register, bytes: Uint8Array): boolean {
    if (!register.write) return false;
    register.write(this.#cpu.state, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    this.#cpu.stateChanged();
    return true;
  }

  readMemory(linear: number, byteCount: number): Uint8Array {
    return this.#memory.read(linear, byteCount);
  }

  writeMemory(linear: number, bytes: Uint8Array): boolean {
    return this.#memory.write(linear, bytes);
  }

  setBreak(kind: BreakKind, linear: number, byteCount: number): boolean {
    if (kind === 'code') this.control.addBreakpoint(linear);
    else this.control.watches.add(kind, linear, byteCount);
    this.#observe();
    return true;
  }

  clearBreak(kind: BreakKind, linear: number, byteCount: number): boolean {
    if (kind === 'code') this.control.removeBreakpoint(linear);
    else this.control.watches.remove(kind, linear, byteCount);
    this.#observe();
    return true;
  }

  release(): void {
    this.control.removeAll();
    this.control.prepare(false, this.#cpu.nextLinear);
    this.#observe();
    this.#run.resume();
  }

  kill(): void {
    this.#run.end();
  }

  monitor(line: string): string {
    const [verb = '', ...args] = line.split(/\s+/);
    switch (verb) {
      case 'help':
      case '':
        return MONITOR_HELP.join('\n');
      case 'info':
        return stateText(this.#cpu.state);
      case 'walk':
        return this.#walk(args[0] ?? '');
      case 'phys':
        return this.#physical(args[0] ?? '', args[1] ?? '64');
      case 'reset':
        this.#run.reset();
        return 'the machine will be reset when it goes on';
      default:
        return `there is no command '${verb}'\n${MONITOR_HELP.join('\n')}`;
    }
  }

  /** Blocks that exist were made without the present breakpoints. */
  #observe(): void {
    this.#cpu.observe(this.control.isNeeded ? this.control : undefined);
  }

  #walk(text: string): string {
    const linear = parseAddress(text);
    if (linear === undefined) return 'walk needs an address';
    const steps: WalkStep[] = [];
    const physical = this.#memory.translate(this.#cpu.state.long ? linear : linear >>> 0, steps);
    const lines = steps.map(
      ({ table, at, entry }) => `${table.padEnd(6)} at ${hex(at)}: ${entry.toString(16).padStart(16, '0')}`,
    );
    return [...lines, physical < 0 ? 'not mapped' : `physical ${hex(physical)}`].join('\n');
  }

  #physical(text: string, count: string): string {
    const at = parseAddress(text);
    const byteCount = parseAddress(count);
    if (at === undefined || byteCount === undefined) return 'phys needs an address, and perhaps a number of bytes';
    const bytes = this.#memory.readPhysical(at, Math.min(byteCount, DUMP_LIMIT));
    const lines: string[] = [];
    for (let i = 0; i < bytes.length; i += DUMP_BYTES) {
      const pairs = toHex(bytes.subarray(i, i + DUMP_BYTES)).match(/../g) ?? [];
      lines.push(`${hex(at + i)}: ${pairs.join(' ')}`);
    }
    return lines.length === 0 ? 'there is no memory' : lines.join('\n');
  }
}

const hex = (value: number): string => value.toString(16).padStart(8, '0');

/** Hexadecimal with 0x, else decimal. */
function parseAddress(text: string): number | undefined {
  if (/^0x[0-9a-f]{1,16}$/i.test(text)) return Number(BigInt.asIntN(64, BigInt(text)));
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
