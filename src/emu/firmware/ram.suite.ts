import { DIRTY_MAP_BYTES, PAGE_MAP_BYTES, PhysicalMemory } from '#emu/memory/physical-memory.ts';

/** Byte offset in linear memory of guest-physical 0. */
export const RAM_AT = PAGE_MAP_BYTES + DIRTY_MAP_BYTES;

/** All of `ramBytes` is RAM; `spareBytes` more of linear memory follow it. */
export function ram(ramBytes: number, spareBytes = 0): PhysicalMemory {
  const buffer = new SharedArrayBuffer(RAM_AT + ramBytes + spareBytes);
  const memory = new PhysicalMemory({ buffer, pageMapAt: 0, dirtyMapAt: PAGE_MAP_BYTES });
  memory.mapBacked(0, ramBytes, RAM_AT, 'ram');
  return memory;
}

export function bytesAt(memory: PhysicalMemory, at: number, byteCount: number): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  memory.read(at, bytes);
  return bytes;
}

export function textAt(memory: PhysicalMemory, at: number): string {
  let text = '';
  for (let c = memory.readSized(at, 1); c !== 0; c = memory.readSized(at + text.length, 1))
    text += String.fromCharCode(c);
  return text;
}
