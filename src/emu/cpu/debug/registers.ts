/**
 * The CPU's registers by name, as bytes in the order a debugger wants them.
 *
 * Source: GDB manual, "Standard Target Features", i386 (the order of the names is GDB's own); SDM Vol. 1, 8.1 (x87 state).
 * Not modelled: a selector that is written loads no descriptor; outside protected mode it sets the base.
 */
import { CpuState } from '../state/cpu-state.ts';
import { EFLAGS } from '../state/flags.ts';
import { FPR_BYTES, GPR, SEG, SEGMENT, STATE, XMM_BYTES } from '../state/layout.ts';
import { CR0 } from '../system/control-bits.ts';

export type RegisterType =
  | 'int32'
  | 'int64'
  | 'code_ptr'
  | 'data_ptr'
  | 'i386_eflags'
  | 'i387_ext'
  | 'uint128'
  | 'vec128'
  | 'i386_mxcsr';

export interface Register {
  readonly name: string;
  readonly bits: 32 | 64 | 80 | 128;
  readonly type: RegisterType;
  readonly feature: 'core' | 'sse' | 'avx' | 'segments' | 'system';
  /** For a debugger's `info float` and the like. */
  readonly group?: 'float' | 'vector' | 'system';
  readonly read: (state: CpuState, into: DataView) => void;
  /** Undefined: read only. */
  readonly write?: (state: CpuState, from: DataView) => void;
}

const NAMES_32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'] as const;
const NAMES_64 = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp'] as const;
const ORDER_64 = [GPR.eax, GPR.ebx, GPR.ecx, GPR.edx, GPR.esi, GPR.edi, GPR.ebp, GPR.esp] as const;
const SELECTORS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const;

/** A field of the state block as it is. */
function field(name: string, at: number, bits: 32 | 64, type: RegisterType, more: Partial<Register> = {}): Register {
  const read = (state: CpuState, into: DataView): void => {
    into.setInt32(0, state.get(at), true);
    if (bits === 64) into.setInt32(4, state.get(at + 4), true);
  };
  const write = (state: CpuState, from: DataView): void => {
    state.set(at, from.getInt32(0, true));
    if (bits === 64) state.set(at + 4, from.getInt32(4, true));
  };
  return { name, bits, type, feature: 'core', read, write, ...more };
}

/** A 32-bit value that is made when it is asked for. */
function made(
  name: string,
  read: (state: CpuState) => number,
  write?: (state: CpuState, value: number) => void,
): Register {
  const common = { name, bits: 32, type: 'int32', feature: 'core', group: 'float' } as const;
  const readBytes = (state: CpuState, into: DataView): void => into.setInt32(0, read(state), true);
  if (!write) return { ...common, read: readBytes };
  return { ...common, read: readBytes, write: (state, from) => write(state, from.getInt32(0, true)) };
}

const bytesOf = (state: CpuState, at: number, count: number): Uint8Array =>
  new Uint8Array(state.view.buffer, state.at + at, count);

const st = (n: number): Register => {
  const at = (state: CpuState): number => STATE.fpr + ((state.get(STATE.fpuTop) + n) & 7) * FPR_BYTES;
  return {
    ...{ name: `st${n}`, bits: 80, type: 'i387_ext', feature: 'core' },
    read: (state, into) => bytesInto(into).set(bytesOf(state, at(state), 10)),
    write: (state, from) => bytesOf(state, at(state), 10).set(bytesInto(from)),
  };
};

const xmm = (n: number): Register => {
  const at = STATE.xmm + n * XMM_BYTES;
  return {
    ...{ name: `xmm${n}`, bits: 128, type: 'vec128', feature: 'sse', group: 'vector' },
    read: (state, into) => bytesInto(into).set(bytesOf(state, at, 16)),
    write: (state, from) => bytesOf(state, at, 16).set(bytesInto(from)),
  };
};

/** The upper half of YMMn; GDB joins the halves. */
const ymmHigh = (n: number): Register => {
  const at = STATE.xmm + n * XMM_BYTES + 16;
  return {
    ...{ name: `ymm${n}h`, bits: 128, type: 'uint128', feature: 'avx', group: 'vector' },
    read: (state, into) => bytesInto(into).set(bytesOf(state, at, 16)),
    write: (state, from) => bytesOf(state, at, 16).set(bytesInto(from)),
  };
};

const bytesInto = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

const EMPTY = 3;
const SPECIAL = 2;
const ZERO = 1;
const VALID = 0;

/** The tag word with two bits a physical register (SDM Vol. 1, 8.1.7). */
function tagWord(state: CpuState): number {
  const used = state.get(STATE.fpuTags);
  let word = 0;
  for (let n = 0; n < 8; n++) {
    const at = STATE.fpr + n * FPR_BYTES;
    const exponent = state.view.getUint16(at + 8, true) & 0x7fff;
    const high = state.get(at + 4);
    let tag = VALID;
    if (!(used & (1 << n))) tag = EMPTY;
    else if (exponent === 0 && high === 0 && state.get(at) === 0) tag = ZERO;
    else if (exponent === 0x7fff || high >= 0) tag = SPECIAL;
    word |= tag << (2 * n);
  }
  return word;
}

function setTagWord(state: CpuState, word: number): void {
  let used = 0;
  for (let n = 0; n < 8; n++) if (((word >> (2 * n)) & 3) !== EMPTY) used |= 1 << n;
  state.set(STATE.fpuTags, used);
}

const X87: readonly Register[] = [
  ...[0, 1, 2, 3, 4, 5, 6, 7].map(st),
  field('fctrl', STATE.fpuControl, 32, 'int32', { group: 'float' }),
  made(
    'fstat',
    (state) => state.get(STATE.fpuStatus) | (state.get(STATE.fpuTop) << 11),
    (state, value) => {
      state.set(STATE.fpuStatus, value & ~(7 << 11));
      state.set(STATE.fpuTop, (value >> 11) & 7);
    },
  ),
  made('ftag', tagWord, setTagWord),
  field('fiseg', STATE.fpuCs, 32, 'int32', { group: 'float' }),
  field('fioff', STATE.fpuIp, 32, 'int32', { group: 'float' }),
  field('foseg', STATE.fpuDs, 32, 'int32', { group: 'float' }),
  field('fooff', STATE.fpuDp, 32, 'int32', { group: 'float' }),
  field('fop', STATE.fpuOpcode, 32, 'int32', { group: 'float' }),
];

const EFLAGS_REGISTER: Register = {
  ...{ name: 'eflags', bits: 32, type: 'i386_eflags', feature: 'core' },
  read: (state, into) => into.setInt32(0, state.eflags, true),
  write: (state, from) => {
    state.eflags = from.getInt32(0, true);
  },
};

const selector = (name: (typeof SELECTORS)[number]): Register => ({
  ...made(
    name,
    (state) => state.selector(SEG[name]),
    (state, value) => {
      const at = CpuState.segment(SEG[name]);
      state.set(at + SEGMENT.selector, value & 0xffff);
      const isProtected = (state.get(STATE.cr0) & CR0.pe) !== 0 && (state.eflags & EFLAGS.vm) === 0;
      if (!isProtected) state.set(at + SEGMENT.base, (value & 0xffff) << 4);
    },
  ),
  ...{ feature: 'core', group: 'system' },
});

/** What GDB has no place of its own for; shown by `info registers system`. */
function systemRegisters(bits: 32 | 64): Register[] {
  const type = bits === 64 ? 'int64' : 'int32';
  const system = (name: string, at: number, width: 32 | 64 = bits): Register => {
    const { write: _, ...readOnly } = field(name, at, width, width === 64 ? 'int64' : 'int32');
    return { ...readOnly, feature: 'system', group: 'system' };
  };
  const base = (name: (typeof SELECTORS)[number]): Register => ({
    ...system(`${name}_base`, CpuState.segment(SEG[name])),
    type,
  });
  return [
    ...SELECTORS.filter((name) => bits === 32 || (name !== 'fs' && name !== 'gs')).map(base),
    system('cr0', STATE.cr0),
    system('cr2', STATE.cr2),
    system('cr3', STATE.cr3),
    system('cr4', STATE.cr4),
    system('efer', STATE.efer),
    system('gdt_base', STATE.gdtBase),
    system('gdt_limit', STATE.gdtLimit, 32),
    system('idt_base', STATE.idtBase),
    system('idt_limit', STATE.idtLimit, 32),
    ...[0, 1, 2, 3].map((n) => system(`dr${n}`, STATE.dr + n * 8)),
    system('dr6', STATE.dr6, 32),
    system('dr7', STATE.dr7, 32),
    system('cpl', STATE.cpl, 32),
  ];
}

/** Registers of the i386 description, by GDB's numbers. */
export const REGISTERS_32: readonly Register[] = [
  ...NAMES_32.map((name, n) =>
    field(name, STATE.gpr + n * 8, 32, n === GPR.esp || n === GPR.ebp ? 'data_ptr' : 'int32'),
  ),
  field('eip', STATE.eip, 32, 'code_ptr'),
  EFLAGS_REGISTER,
  ...SELECTORS.map(selector),
  ...X87,
  ...[0, 1, 2, 3, 4, 5, 6, 7].map(xmm),
  field('mxcsr', STATE.mxcsr, 32, 'i386_mxcsr', { feature: 'sse', group: 'vector' }),
  ...[0, 1, 2, 3, 4, 5, 6, 7].map(ymmHigh),
  ...systemRegisters(32),
];

/** Registers of the i386:x86-64 description, by GDB's numbers. */
export const REGISTERS_64: readonly Register[] = [
  ...NAMES_64.map((name, i) =>
    field(name, STATE.gpr + ORDER_64[i] * 8, 64, name === 'rsp' || name === 'rbp' ? 'data_ptr' : 'int64'),
  ),
  ...[8, 9, 10, 11, 12, 13, 14, 15].map((n) => field(`r${n}`, STATE.gpr + n * 8, 64, 'int64')),
  field('rip', STATE.eip, 64, 'code_ptr'),
  EFLAGS_REGISTER,
  ...SELECTORS.map(selector),
  ...X87,
  ...Array.from({ length: 16 }, (_, n) => xmm(n)),
  field('mxcsr', STATE.mxcsr, 32, 'i386_mxcsr', { feature: 'sse', group: 'vector' }),
  ...Array.from({ length: 16 }, (_, n) => ymmHigh(n)),
  field('fs_base', CpuState.segment(SEG.fs), 64, 'int64', { feature: 'segments' }),
  field('gs_base', CpuState.segment(SEG.gs), 64, 'int64', { feature: 'segments' }),
  ...systemRegisters(64),
];

export const registerBytes = ({ bits }: Register): number => bits / 8;
