/** VBoxVGA under the driver that Debian's kernel has for it: several monitors, and what they would like to be. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import {
  connectors,
  drawBars,
  inGuest,
  type Shot,
  shot,
  startGraphicsGuest,
  wrongBars,
} from './support/graphics-guest.ts';
import { guest, Headless } from './support/headless.ts';

const folder = mkdtempSync(join(tmpdir(), 'tabbox-graphics-'));
const machines: Headless[] = [];

afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.kill();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function startGuest(...args: string[]): Promise<Headless> {
  const machine = await startGraphicsGuest(...args);
  machines.push(machine);
  return machine;
}

const monitorShot = (machine: Headless, monitor: number): Promise<Shot> =>
  shot(machine, monitor, join(folder, `${monitor}.png`));

test.each([2, 4])('shows something else on each of %i monitors', async (count) => {
  const machine = await startGuest('--monitorcount', String(count));
  const found = await connectors(machine);
  expect(found.map(({ status }) => status)).toEqual(new Array(count).fill('connected'));
  expect(found.map(({ modes }) => modes[0])).toEqual(new Array(count).fill('1024x768'));
  // One large picture across all of them.
  await drawBars(machine);
  for (let monitor = 0; monitor < count; monitor++) {
    const wrong = async (): Promise<string> => wrongBars(await monitorShot(machine, monitor), monitor, count);
    await expect.poll(wrong, { timeout: 60_000, interval: 500 }).toBe('');
  }
  await expect(machine.command(`screenshotpng ${folder}/none.png ${count}`)).rejects.toThrow(/monitors? (from )?0 to/);
});

test('monitors ask for a size, come and go, and the driver follows', async () => {
  const machine = await startGuest('--monitorcount', '2', '--graphicscontroller', 'vboxvga');
  await machine.command('setvideomodehint 1440 900 32');
  await machine.command('setvideomodehint 1152 864 32 1');
  await expect
    .poll(async () => (await connectors(machine)).map(({ modes }) => modes[0]), { timeout: 60_000, interval: 1000 })
    .toEqual(['1440x900', '1152x864']);
  // Whoever draws takes what is listed first; the kernel's own console cannot grow.
  const [{ id }] = await connectors(machine);
  machine.type(`sleep 1000 | modetest -M vboxvideo -s ${id}:1440x900 &\n`);
  const size = async (): Promise<number[]> => {
    const { width, height } = await monitorShot(machine, 0);
    return [width, height];
  };
  await expect.poll(size, { timeout: 60_000, interval: 1000 }).toEqual([1440, 900]);
  // Only who draws may have the monitors looked at again.
  await inGuest(machine, 'killall modetest sleep');
  await machine.command('setvideomodehint 1152 864 32 1 no');
  await expect
    .poll(async () => (await connectors(machine)).map(({ status }) => status), { timeout: 60_000, interval: 1000 })
    .toEqual(['connected', 'disconnected']);
});

test('a video BIOS sets its modes, and text is text', async () => {
  const machine = new Headless(['--floppy', guest('grub-rescue-floppy.img'), '--graphicscontroller', 'vboxvga']);
  machines.push(machine);
  await machine.screen(/GNU GRUB[\s\S]*GNU\/Linux/, 120);
  await machine.command('keyboardputscancode 2e ae');
  await machine.screen(/grub> *$/m, 60);
  await machine.command('keyboardputstring insmod vbe;videotest 1024x768\\n');
  const size = async (): Promise<number[]> => {
    const { width, height } = await monitorShot(machine, 0);
    return [width, height];
  };
  await expect.poll(size, { timeout: 200_000, interval: 2000 }).toEqual([1024, 768]);
  // Any key ends it.
  await machine.command('keyboardputstring q');
  await machine.screen(/grub> *$/m, 60);
});
