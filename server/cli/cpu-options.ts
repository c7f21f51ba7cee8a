// The switches of a machine's CPU, as VBoxManage modifyvm names them.

import { CodedError } from '#base/errors.ts';
import {
  CPU_PROFILES,
  type CpuConfig,
  type CpuidOverride,
  type CpuProfile,
  DEFAULT_CPU,
} from '#emu/cpu/system/cpu-features.ts';
import { parseSwitch } from './platform-options.ts';

export interface CpuTexts {
  readonly longmode?: string | undefined;
  readonly pae?: string | undefined;
  readonly 'cpu-profile'?: string | undefined;
  readonly 'cpuid-set'?: readonly string[] | undefined;
}

const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);

/** @returns undefined when nothing was given. @throws CodedError<'usage'> */
export function parseCpu(texts: CpuTexts): CpuConfig | undefined {
  const sets = texts['cpuid-set'] ?? [];
  const named = texts.longmode ?? texts.pae ?? texts['cpu-profile'];
  if (named === undefined && sets.length === 0) return undefined;
  const pae = parseSwitch('--pae', texts.pae) ?? DEFAULT_CPU.pae;
  const longMode = parseSwitch('--longmode', texts.longmode);
  if (longMode && !pae) throw usage('--longmode on needs --pae on; leave one of them out');
  return {
    profile: parseProfile(texts['cpu-profile']),
    pae,
    longMode: longMode ?? pae,
    cpuidSet: sets.map(parseCpuidSet),
  };
}

function parseProfile(text: string | undefined): CpuProfile {
  const found = CPU_PROFILES.find((name) => name === (text ?? DEFAULT_CPU.profile));
  if (!found) throw usage(`--cpu-profile takes ${CPU_PROFILES.map((name) => `'${name}'`).join(' or ')}, not '${text}'`);
  return found;
}

const SET = /^(?<leaf>[0-9a-f]{1,8})(?::(?<subleaf>[0-9a-f]{1,8}))? (?<words>[0-9a-f]{1,8}(?: [0-9a-f]{1,8}){3})$/i;

/** Numbers are hexadecimal, as VBoxManage takes them. */
function parseCpuidSet(text: string): CpuidOverride {
  const groups = SET.exec(text.replaceAll(/0x/gi, '').trim().replaceAll(/\s+/g, ' '))?.groups;
  if (!groups) {
    throw usage(`--cpuid-set takes "LEAF[:SUB] EAX EBX ECX EDX" as hexadecimal numbers, not '${text}'`);
  }
  const hex = (digits: string): number => Number.parseInt(digits, 16);
  const [eax, ebx, ecx, edx] = groups['words'].split(' ').map(hex);
  const leaf = hex(groups['leaf']);
  const subleaf = groups['subleaf'];
  return { leaf, eax, ebx, ecx, edx, ...(subleaf === undefined ? {} : { subleaf: hex(subleaf) }) };
}
