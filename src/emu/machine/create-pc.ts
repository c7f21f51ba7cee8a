/** A machine with the real CPU, and one from a saved state: what a worker calls. */
import { CodedError } from '#base/errors.ts';
import { Cpu } from '#emu/cpu/cpu.ts';
import { CpuFeatures } from '#emu/cpu/system/cpu-features.ts';
import { createLinearMemory } from '#emu/cpu/wasm/host.ts';
import type { MachineConfig, MachineMedia } from './config.ts';
import { linearBytesOf, Pc, type PcHost, type PcRecord } from './pc.ts';
import { decodeSavedState, encodeSavedState } from './saved-state.ts';

/** @throws CodedError<'bad-config' | 'memory-refused'>, and what ROMs and drives say of their images */
export function createPc(config: MachineConfig, media: MachineMedia, host: PcHost): Pc {
  const linear = createLinearMemory(linearBytesOf(config, media));
  const features = new CpuFeatures(config.cpu);
  return new Pc({ config, media, host, linear, createCpu: (parts) => new Cpu({ ...parts, features }) });
}

/** A saved machine as a file. The machine is paused or at least not inside `advance`. @throws CodedError<'busy'> */
export function saveMachine(pc: Pc): Uint8Array {
  return encodeSavedState(pc.save(), pc.ram);
}

/** A saved machine, opened. */
export interface OpenedState {
  readonly config: MachineConfig;
  /** Makes the machine, paused where it was saved. @param media of the drives in `config` */
  createPc(media: MachineMedia, host: PcHost): Pc;
}

/** @throws CodedError<'not-a-saved-state' | 'other-version' | 'damaged-state'> */
export function openSavedMachine(file: Uint8Array): OpenedState {
  const saved = decodeSavedState(file);
  const { record } = saved;
  if (!isPcRecord(record)) {
    throw new CodedError('damaged-state', 'the saved machine lacks its configuration; use another copy');
  }
  return {
    config: record.config,
    createPc: (media, host) => {
      const pc = createPc(record.config, media, host);
      pc.restore(record, saved.fillRam);
      return pc;
    },
  };
}

function isPcRecord(record: unknown): record is PcRecord {
  if (typeof record !== 'object' || record === null) return false;
  const { config, guestNs, devices } = record as Partial<PcRecord>;
  return typeof config === 'object' && config !== null && typeof guestNs === 'number' && typeof devices === 'object';
}
