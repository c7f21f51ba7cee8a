/** A guest in one browser, used from another: what it plays is heard there, and files from there are on its CD. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ToneFinder } from '../machine/support/tone.ts';
import { ANSWER_MS, BOOT_MS, makeMachine, prepare, shell, textOf, until, untilSerial } from './support/machine-page.ts';
import { GUESTS_DIRECTORY, type Lab, openLab } from './support/page-test.ts';
import { People } from './support/people.ts';

const KERNEL = join(GUESTS_DIRECTORY, 'default-kernel');
const INITRDS = ['default-initrd', 'sound-initrd'].map((name) => join(GUESTS_DIRECTORY, name));
const TONE_MS = 120_000;
/** Opus is not exact; a gap or a jump of a loud tone is off by far more. */
const OPUS_NOISE = 3000;

let lab: Lab;
let people: People;
let folder: string;
let host: Page;
let ann: Page;

beforeAll(async () => {
  lab = await openLab();
  people = await People.gather();
  folder = await mkdtemp(join(tmpdir(), 'tabbox-sound-'));
});

afterAll(async () => {
  await people.close();
  await lab.close();
  await rm(folder, { recursive: true, force: true });
});

/** Keeps what arrives at a viewer. */
const listen = (page: Page): Promise<void> =>
  page.evaluate(() => {
    const heard: [number, string][] = [];
    Object.assign(window, { heard });
    window.tabboxViewer?.sound.listen((samples, firstFrame) => {
      const bytes = new Uint8Array(samples.slice().buffer);
      heard.push([firstFrame, btoa(String.fromCharCode(...bytes))]);
    });
  });

const takeHeard = (page: Page): Promise<[number, string][]> =>
  page.evaluate(() => (window as unknown as { heard: [number, string][] }).heard.splice(0));

const played = (page: Page) => page.evaluate(() => window.tabboxSound?.counts());

it('a tone goes from a guest to a viewer’s loudspeaker without a gap', { timeout: BOOT_MS + 900_000 }, async () => {
  const initrd = join(folder, 'initrd');
  await writeFile(initrd, Buffer.concat(await Promise.all(INITRDS.map((path) => readFile(path)))));
  host = (await lab.visit('', 'host')).page;
  await prepare(host);
  await makeMachine(host, {
    ...{ files: [KERNEL, initrd], memoryMb: 96 },
    commandLine: 'console=ttyS0 quiet rdinit=/sbin/sound-init',
  });
  await untilSerial(host, /BOOT-OK[\s\S]*# /, BOOT_MS);
  await host.getByTestId('share').click();
  await host.getByTestId('share-start').click();
  await host.getByTestId('role-control').check();
  await host.getByTestId('make-link').click();
  const address = await host.getByTestId('link-address').inputValue();
  await host.getByTestId('share-close').click();
  ann = (await people.open(address)).page;
  await ann.getByTestId('viewer-name').fill('Ann');
  await ann.getByTestId('join').click();
  await ann.locator('[data-testid=viewer][data-shown=true]').waitFor();
  await listen(ann);
  const finder = new ToneFinder(1000, OPUS_NOISE);
  // A guest on a busy computer may itself be too slow for its sound card: then it plays again.
  for (let round = 1; round <= 5 && finder.tone.frames < 48_000; round++) {
    await shell(host, 'speaker-test -D plughw:0 -c 1 -r 48000 -t sine -f 1000 -l 1 >/dev/null', TONE_MS);
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const [firstFrame, samples] of await takeHeard(ann)) {
      const bytes = Buffer.from(samples, 'base64');
      finder.hear(new Int16Array(Uint8Array.from(bytes).buffer), firstFrame);
    }
  }
  const { frames, frequencyHz, peak } = finder.tone;
  console.log(`${frames} frames of ${frequencyHz.toFixed(2)} Hz, peak ${peak.toFixed(2)} of full scale`);
  expect(frames).toBeGreaterThanOrEqual(48_000);
  expect(Math.abs(frequencyHz - 1000)).toBeLessThan(1);
  expect(peak).toBeGreaterThan(0.3);
  const counts = await played(ann);
  console.log('heard:', counts);
  expect(counts?.played).toBeGreaterThan(48_000);
  // Whoever turns it off is sent nothing more.
  await ann.getByTestId('sound').click();
  expect(await ann.getByTestId('sound').getAttribute('aria-pressed')).toBe('false');
});

it('files of a viewer are on the guest’s CD', { timeout: 300_000 }, async () => {
  const file = randomBytes(600_000);
  await ann
    .getByTestId('given-files')
    .setInputFiles([{ name: 'Homework (1).bin', mimeType: 'application/octet-stream', buffer: file }]);
  await until(() => textOf(ann.getByTestId('gift')), /in the machine’s CD drive now/, 2 * ANSWER_MS);
  const mount = 'modprobe -a ata_piix sr_mod isofs; until [ -e /dev/sr0 ]; do sleep 1; done; mount -o ro /dev/sr0 /mnt';
  const printed = await shell(host, `${mount}; sha256sum /mnt/*`, 2 * ANSWER_MS);
  expect(printed).toContain(`${createHash('sha256').update(file).digest('hex')}  /mnt/Homework (1).bin`);
});
