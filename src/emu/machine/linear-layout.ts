/** Where a machine's RAM, video memory and ROMs lie in linear memory, behind what the CPU keeps for itself. */
import { KIB, MIB } from '#base/units.ts';
import { LINEAR } from '#emu/cpu/state/layout.ts';

/** Default of the standard VGA: enough for 1920x1200 with 32 bits a pixel. */
export const VRAM_BYTES: number = 16 * MIB;
const SYSTEM_ROM_BYTES = 4 * MIB;
const ROM_ALIGNMENT = 64 * KIB;

export interface LinearLayout {
  /** Offset of guest-physical 0. */
  readonly ramAt: number;
  readonly ramBytes: number;
  readonly vramAt: number;
  readonly systemRomAt: number;
  readonly byteCount: number;
}

/** @param systemRomBytes size of the BIOS image, 0 without one */
export function linearLayout(memoryMb: number, systemRomBytes: number): LinearLayout {
  const ramAt = LINEAR.guest;
  const ramBytes = memoryMb * MIB;
  const vramAt = ramAt + ramBytes;
  const systemRomAt = vramAt + VRAM_BYTES;
  const romBytes = Math.min(SYSTEM_ROM_BYTES, Math.ceil(systemRomBytes / ROM_ALIGNMENT) * ROM_ALIGNMENT);
  return { ramAt, ramBytes, vramAt, systemRomAt, byteCount: systemRomAt + romBytes };
}
