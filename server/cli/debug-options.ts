// The options of `tabbox run` for looking inside the guest: a debugger's address and the trace of instructions.

import { CodedError } from '#base/errors.ts';
import type { Architecture } from '#emu/cpu/debug/target-description.ts';

export interface DebugOptions {
  /** Where a debugger may connect. */
  readonly gdb: { readonly host: string; readonly port: number } | undefined;
  /** The machine waits for it before its first instruction. */
  readonly gdbWait: boolean;
  /** What it is told the machine is; undefined: see CpuDebugger. */
  readonly gdbArchitecture: Architecture | undefined;
  readonly trace: TraceOptions | undefined;
}

export interface TraceOptions {
  readonly path: string;
  /** Linear address from which the trace begins, once it is executed; undefined: at once. */
  readonly from: number | undefined;
  /** Lines to write. */
  readonly count: number;
}

export const DEBUG_HELP = `  Debugging
    --gdb [ADDRESS:]PORT     let GDB connect (target remote); the address is 127.0.0.1 unless given
    --gdb-wait               wait for it before the first instruction
    --gdb-arch WHAT          i386 or x86-64: what GDB takes the guest for (default: as it is when GDB connects)
    --trace FILE             write the instructions that are executed to FILE; this slows the machine down a lot
    --trace-from ADDRESS     begin when the instruction at this linear address (0x...) is reached
    --trace-count N          and end after N lines: a repeated string instruction is one
`;

const text = { type: 'string' } as const;
/** For `parseArgs`. */
export const DEBUG_OPTIONS = {
  gdb: text,
  'gdb-wait': { type: 'boolean', default: false },
  'gdb-arch': text,
  trace: text,
  'trace-from': text,
  'trace-count': text,
} as const;

export interface DebugValues {
  readonly gdb?: string | undefined;
  readonly 'gdb-wait'?: boolean | undefined;
  readonly 'gdb-arch'?: string | undefined;
  readonly trace?: string | undefined;
  readonly 'trace-from'?: string | undefined;
  readonly 'trace-count'?: string | undefined;
}

const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);

/** @throws CodedError<'usage'> */
export function parseDebugOptions(values: DebugValues): DebugOptions {
  const gdb = parseAddress(values.gdb);
  const gdbWait = values['gdb-wait'] ?? false;
  if (gdbWait && !gdb) throw usage('--gdb-wait needs --gdb; give both');
  return { gdb, gdbWait, gdbArchitecture: parseArchitecture(values['gdb-arch']), trace: parseTrace(values) };
}

function parseArchitecture(given: string | undefined): Architecture | undefined {
  if (given === undefined) return undefined;
  if (given === 'i386') return 'i386';
  if (given === 'x86-64') return 'i386:x86-64';
  throw usage(`--gdb-arch takes i386 or x86-64, not '${given}'`);
}

function parseAddress(given: string | undefined): DebugOptions['gdb'] {
  if (given === undefined) return undefined;
  const [, host = '127.0.0.1', digits = ''] = /^(?:\[?([0-9a-z.:-]+?)\]?:)?(\d{1,5})$/i.exec(given) ?? [];
  const port = Number(digits);
  if (digits !== '' && port <= 65_535) return { host, port };
  throw usage(`--gdb takes a port, or an address and a port such as 127.0.0.1:1234, not '${given}'`);
}

function parseTrace(values: DebugValues): TraceOptions | undefined {
  const { trace: path, 'trace-from': from, 'trace-count': count } = values;
  if (path === undefined) {
    if (from !== undefined || count !== undefined) throw usage('--trace-from and --trace-count need --trace');
    return undefined;
  }
  if (from !== undefined && !/^0x[0-9a-f]{1,16}$/i.test(from)) {
    throw usage(`--trace-from takes an address such as 0xc1000000, not '${from}'`);
  }
  if (count !== undefined && !/^[1-9]\d{0,14}$/.test(count)) {
    throw usage(`--trace-count takes a number of instructions, at least 1, not '${count}'`);
  }
  return {
    path,
    from: from === undefined ? undefined : Number(BigInt.asIntN(64, BigInt(from))),
    count: count === undefined ? Number.POSITIVE_INFINITY : Number(count),
  };
}
