/** The default guest of a headless machine, seen and used with Remmina and KRDC. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, it } from 'vitest';
import { type ConsoleMachine, isUsedWith } from './support/console-machine.ts';
import { SET_UPS } from './support/desktop-clients.ts';
import { inGuest, shot } from './support/graphics-guest.ts';
import { guest, Headless } from './support/headless.ts';
import { Display, eventually } from './support/rdp-clients.ts';

const PORT_MS = 60_000;
const BOOT_SECONDS = 240;
const TEST_TIMEOUT_MS = 300_000;
let folder: string;
let display: Display;
let machine: Headless;
let port: number;
let guestConsole: ConsoleMachine;

beforeAll(
  async () => {
    folder = mkdtempSync(join(tmpdir(), 'tabbox-rdp-desktop-'));
    display = await Display.open(1200, 900);
    machine = new Headless([
      ...['--kernel', guest('default-kernel'), '--initrd', guest('default-initrd')],
      ...['--append', 'console=ttyS0 console=tty0', '--vrde', 'on', '--vrdeport', '42000-42100'],
    ]);
    const bound = (): number | undefined => Number(/RDP: \S+:(\d+)\n/.exec(machine.errors)?.[1]) || undefined;
    port = await eventually('bound port', bound, PORT_MS);
    await machine.serial(/BOOT-OK[\s\S]*# /, BOOT_SECONDS);
    guestConsole = {
      run: (line) => inGuest(machine, line),
      screenText: () => machine.screenText(),
      picture: () => shot(machine, 0, join(folder, 'screen.png')),
    };
  },
  PORT_MS + BOOT_SECONDS * 1000,
);

afterAll(async () => {
  await machine?.kill();
  await display?.close();
  rmSync(folder, { recursive: true, force: true });
});

it.each(SET_UPS)('$name shows it and types', { timeout: TEST_TIMEOUT_MS }, async (setUp) => {
  await isUsedWith(setUp, display, { port, log: () => machine.errors }, guestConsole);
});
