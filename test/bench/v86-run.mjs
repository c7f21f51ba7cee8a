// v86 in Node as one more emulator for run.mjs: its first serial port on stdin and stdout.
//
//   node v86-run.mjs KERNEL INITRD COMMAND-LINE MEMORY-MB BIOS VGA-BIOS
//
// SIGUSR2 writes the count of executed guest instructions to stderr, as `INSTRUCTIONS n` (modulo 2^32).

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [kernel, initrd, cmdline, memoryMb, bios, vgaBios] = process.argv.slice(2);
const build = join(dirname(createRequire(import.meta.url).resolve('v86/package.json')), 'build');
const { V86 } = await import(pathToFileURL(join(build, 'libv86.mjs')).href);

/** Padded to words: v86 looks at a kernel through a Uint32Array. */
function padded(path) {
  const file = readFileSync(path);
  const bytes = new Uint8Array((file.length + 3) & ~3);
  bytes.set(file);
  return { buffer: bytes.buffer };
}

const emulator = new V86({
  wasm_path: join(build, 'v86.wasm'),
  memory_size: Number(memoryMb) << 20,
  vga_memory_size: 8 << 20,
  bios: padded(bios),
  vga_bios: padded(vgaBios),
  bzimage: padded(kernel),
  initrd: padded(initrd),
  cmdline,
  autostart: true,
  disable_speaker: true,
  net_device: { type: 'none' },
});

let pending = [];
function flush() {
  if (pending.length > 0) process.stdout.write(Buffer.from(pending));
  pending = [];
}
emulator.add_listener('serial0-output-byte', (byte) => {
  pending.push(byte);
  if (byte === 10 || pending.length > 200) flush();
});
setInterval(flush, 50).unref();
process.stdin.on('data', (data) => {
  for (const byte of data) emulator.serial0_send(String.fromCharCode(byte));
});
process.on('SIGUSR2', () => process.stderr.write(`INSTRUCTIONS ${emulator.get_instruction_counter() >>> 0}\n`));
