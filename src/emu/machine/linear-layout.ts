/** Where a machine's RAM, video memory and ROMs lie in linear memory, behind what the CPU keeps for itself. */
import { KIB, MIB } from '#base/units.ts';
import { LINEAR } from '#emu/cpu/state/layout.ts';
import type { MachineConfig } from './config.ts';

const SYSTEM_ROM_MAX = 16 * MIB;
const ALIGNMENT = 64 * KIB;

export interface LinearLayout {
  /** Offset of guest-physical 0. */
  readonly ramAt: number;
  readonly ramBytes: number;
  readonly vramAt: number;
  readonly vramBytes: number;
  readonly systemRomAt: number;
  readonly byteCount: number;
}

export function linearLayout(config: MachineConfig): LinearLayout {
  const ramAt = LINEAR.guest;
  const ramBytes = config.memoryMb * MIB;
  const vramAt = ramAt + ramBytes;
  const vramBytes = config.videoMemoryMb * MIB;
  const systemRomAt = vramAt + vramBytes;
  const image = config.firmware.system?.length ?? 0;
  const romBytes = Math.min(SYSTEM_ROM_MAX, Math.ceil(image / ALIGNMENT) * ALIGNMENT);
  return { ramAt, ramBytes, vramAt, vramBytes, systemRomAt, byteCount: systemRomAt + romBytes };
}
