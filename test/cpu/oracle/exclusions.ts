/** Rows that are not run natively, each group with its reason. */
import { nameOf, type Row } from '#emu/cpu/isa/row.ts';

const EXCLUDED: readonly { readonly mnemonics: readonly string[]; readonly reason: string }[] = [
  {
    mnemonics: ['int', 'int3', 'into', 'int1', 'iret', 'sysenter', 'sysexit'],
    reason: "enters or leaves the host's kernel; system/events.test.ts has them",
  },
  { mnemonics: ['retf'], reason: "loads CS from the host's GDT; system/transfers.test.ts has it" },
  { mnemonics: ['les', 'lds', 'lss', 'lfs', 'lgs'], reason: "loads selectors of the host's GDT" },
  { mnemonics: ['lar', 'lsl', 'verr', 'verw'], reason: "depends on the host's GDT" },
  { mnemonics: ['sgdt', 'sidt', 'sldt', 'str', 'smsw'], reason: 'UMIP hosts fault, and Linux makes values up' },
  { mnemonics: ['rdrand', 'rdseed'], reason: 'answers with chance; system/control.test.ts has them' },
  { mnemonics: ['cpuid', 'rdtsc', 'rdtscp', 'rdpmc', 'xgetbv'], reason: 'answers with properties of the host' },
];

/** With an operand that is a segment register or far pointer. */
const loadsSegment = (row: Row): boolean =>
  (row.mnemonic === 'mov' && /^[ECSDFG]S,/.test(row.operands)) ||
  (row.mnemonic === 'pop' && /^[ECSDFG]S$/.test(row.operands)) ||
  /^(Ap|Mp)$/.test(row.operands);

/** Faults in user mode whatever its operands say: only that is compared. */
const PRIVILEGED = [
  ...['in', 'out', 'insb', 'insw', 'outsb', 'outsw', 'hlt', 'cli', 'sti', 'lldt', 'ltr', 'lgdt', 'lidt'],
  ...['xsetbv', 'lmsw', 'invlpg', 'clts', 'invd', 'wbinvd', 'wrmsr', 'rdmsr', 'monitor', 'mwait'],
  ...['swapgs', 'sysret', 'invpcid'],
];
export const isPrivileged = (row: Row): boolean =>
  PRIVILEGED.includes(nameOf(row)) || /(^|,)[CD][dq]/.test(row.operands);

/** Why a row has no cases; undefined when it has. */
export const exclusionOf = (row: Row): string | undefined =>
  loadsSegment(row)
    ? "loads selectors of the host's GDT; system/ has tests of it"
    : EXCLUDED.find(({ mnemonics }) => mnemonics.includes(nameOf(row)))?.reason;

/** Of the rows that exist in 64-bit code. */
const LONG_EXCLUDED: Readonly<Record<string, string>> = {
  rdfsbase: "depends on the host's CR4.FSGSBASE",
  rdgsbase: "depends on the host's CR4.FSGSBASE",
  wrfsbase: "depends on the host's CR4.FSGSBASE",
  wrgsbase: "depends on the host's CR4.FSGSBASE",
  syscall: "enters the host's kernel",
  rdtscp: 'answers with properties of the host',
};
export const isLongExcluded = (row: Row): boolean => Object.hasOwn(LONG_EXCLUDED, row.mnemonic);
