/** A debugger for a machine: what a worker calls. */
import { unreachable } from '#base/errors.ts';
import { Cpu } from '#emu/cpu/cpu.ts';
import { CpuDebugger } from '#emu/cpu/debug/cpu-debugger.ts';
import type { Architecture } from '#emu/cpu/debug/target-description.ts';
import type { Pc } from './pc.ts';

export type MachineDebugger = CpuDebugger;

/**
 * @param onKill the debugger wants the machine to end
 * @param architecture see CpuDebugger
 */
export function createDebugger(pc: Pc, onKill: () => void, architecture?: Architecture): MachineDebugger {
  if (!(pc.cpu instanceof Cpu)) return unreachable('only the real CPU can be debugged');
  const run = {
    get running() {
      return pc.state === 'running';
    },
    pause: () => pc.pause(),
    resume: () => pc.resume(),
    reset: () => pc.reset(),
    end: onKill,
  };
  return new CpuDebugger(pc.cpu, pc.memory, run, architecture);
}
