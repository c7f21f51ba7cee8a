/** The person's microphone, switched on in the toolbar, is what a guest records. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ToneFinder } from '../machine/support/tone.ts';
import { ANSWER_MS, BOOT_MS, makeMachine, prepare, shell, until, untilSerial } from './support/machine-page.ts';
import { GUESTS_DIRECTORY, type Lab, openLab } from './support/page-test.ts';

const KERNEL = join(GUESTS_DIRECTORY, 'default-kernel');
const INITRDS = ['default-initrd', 'sound-initrd'].map((name) => join(GUESTS_DIRECTORY, name));
const RATE = 48_000;
const RECORD_MS = 120_000;
/** Rounding, and conversion between rates. */
const NOISE = 300;

let lab: Lab;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabbox-microphone-'));
  await writeFile(join(folder, 'tone.wav'), toneFile(10));
  lab = await openLab(undefined, undefined, [
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    `--use-file-for-fake-audio-capture=${join(folder, 'tone.wav')}`,
  ]);
});
afterAll(async () => {
  await lab.close();
  await rm(folder, { recursive: true, force: true });
});

/** RIFF WAVE, 16 bits, one channel, 1 kHz. @param seconds at most what a chunk can say */
function toneFile(seconds: number): Buffer {
  const samples = Int16Array.from({ length: seconds * RATE }, (_, i) => 12_000 * Math.sin((2 * Math.PI * i) / 48));
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(36 + samples.byteLength, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(RATE, 24);
  header.writeUInt32LE(RATE * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(samples.byteLength, 40);
  return Buffer.concat([header, Buffer.from(samples.buffer)]);
}

/** Half a second of what the guest hears now, left and right alternating. */
async function recorded(page: Page): Promise<Int16Array> {
  await shell(
    page,
    'arecord -q -D hw:0 -f S16_LE -c 2 -r 48000 -t raw -d 2 /tmp/a; dd if=/tmp/a of=/tmp/b bs=96000 skip=2 count=1',
    RECORD_MS,
  );
  const text = await shell(page, 'base64 /tmp/b', RECORD_MS);
  const bytes = Buffer.from(text.replaceAll(/\s/g, ''), 'base64');
  return Int16Array.from({ length: bytes.length >> 1 }, (_, i) => bytes.readInt16LE(i * 2));
}

it('a tone in a microphone is recorded once it is switched on, and not before', {
  timeout: BOOT_MS + 900_000,
}, async () => {
  const initrd = join(folder, 'initrd');
  await writeFile(initrd, Buffer.concat(await Promise.all(INITRDS.map((path) => readFile(path)))));
  const { page } = await lab.visit('', 'host');
  await prepare(page);
  await makeMachine(page, {
    ...{ files: [KERNEL, initrd], memoryMb: 96 },
    commandLine: 'console=ttyS0 quiet rdinit=/sbin/sound-init',
  });
  await untilSerial(page, /BOOT-OK[\s\S]*# /, BOOT_MS);
  await shell(page, 'amixer -q sset Capture 0dB cap');
  const button = page.getByTestId('microphone');
  expect(await button.getAttribute('aria-pressed')).toBe('false');
  const before = await recorded(page);
  expect(before.length).toBe(48_000);
  expect(before.every((sample) => sample === 0)).toBe(true);
  await button.click();
  await until(async () => (await button.getAttribute('aria-pressed')) ?? '', /true/, ANSWER_MS);
  // A guest on a busy computer may be too slow for its sound card: then it records again.
  let best = new ToneFinder(1000, NOISE).tone;
  for (let round = 0; round < 5 && best.frames < 4800; round++) {
    const finder = new ToneFinder(1000, NOISE);
    finder.hear(await recorded(page), 0);
    if (finder.tone.frames > best.frames) best = finder.tone;
  }
  console.log(`${best.frames} frames of ${best.frequencyHz.toFixed(2)} Hz, peak ${best.peak.toFixed(2)} of full scale`);
  expect(best.frames).toBeGreaterThanOrEqual(4800);
  expect(Math.abs(best.frequencyHz - 1000)).toBeLessThan(2);
  expect(best.peak).toBeGreaterThan(0.2);
  await button.click();
  await until(async () => (await button.getAttribute('aria-pressed')) ?? '', /false/, ANSWER_MS);
  const after = await recorded(page);
  expect(after.every((sample) => sample === 0)).toBe(true);
});
