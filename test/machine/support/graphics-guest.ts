/** A guest whose kernel has VirtualBox's display driver, and what its monitors are to show. */
import { readFileSync } from 'node:fs';
import { decode } from 'fast-png';
import { guest, Headless } from './headless.ts';

/** A kernel with its driver on some monitors, and a shell on the serial line. */
export async function startGraphicsGuest(...args: string[]): Promise<Headless> {
  const initrds = ['default-initrd', 'graphics-initrd'].flatMap((name) => ['--initrd', guest(name)]);
  const machine = new Headless([
    ...['--kernel', guest('default-kernel'), ...initrds, '--memory', '256', ...args],
    ...['--append', 'console=ttyS0 rdinit=/sbin/graphics-init'],
  ]);
  await machine.serial('BOOT-OK', 240);
  await machine.serial('/ # ', 30);
  return machine;
}

let commands = 0;
/** What a command of the guest's prints. */
export async function inGuest(machine: Headless, command: string): Promise<string> {
  const mark = `done-${++commands}`;
  const from = machine.output.length;
  machine.type(`${command}; echo done-$((${commands}))-\n`);
  return await machine.serial(`${mark}-\r\n`, 60, from);
}

export interface Connector {
  readonly id: number;
  readonly status: string;
  /** The first is what it prefers. */
  readonly modes: readonly string[];
}

/** What monitors prefer, of modetest's list. */
export const preferredModes = (list: string): { readonly id: number; readonly mode: string | undefined }[] =>
  parseConnectors(list).map(({ id, modes: [mode] }) => ({ id, mode }));

/** As libdrm's test program lists them. */
export async function connectors(machine: Headless): Promise<Connector[]> {
  return parseConnectors(await inGuest(machine, 'modetest -M vboxvideo -c'));
}

function parseConnectors(text: string): Connector[] {
  const found: { id: number; status: string; modes: string[] }[] = [];
  for (const line of text.split(/\r?\n/)) {
    const [, id, status] = /^(\d+)\t\d+\t(connected|disconnected)\t/.exec(line) ?? [];
    if (id !== undefined) found.push({ id: Number(id), status, modes: [] });
    const [, mode] = /^ +#\d+ (\d+x\d+) /.exec(line) ?? [];
    if (mode !== undefined) found.at(-1)?.modes.push(mode);
  }
  return found;
}

export interface Shot {
  readonly width: number;
  readonly height: number;
  readonly at: (x: number, y: number) => number;
}

/** @param path where the picture may be left */
export async function shot(machine: Headless, monitor: number, path: string): Promise<Shot> {
  await machine.command(`screenshotpng ${path} ${monitor}`);
  const { width, height, data, channels } = decode(readFileSync(path));
  return {
    ...{ width, height },
    at: (x, y) => {
      const at = (y * width + x) * channels;
      return (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
    },
  };
}

/** SMPTE bars, seven of one width across the whole desktop, as modetest draws them. */
const BARS = [0xc0c0c0, 0xc0c000, 0x00c0c0, 0x00c000, 0xc000c0, 0xc00000, 0x0000c0];

/** Has modetest draw the bars across all monitors, until it is killed. */
export async function drawBars(machine: Headless, ...more: string[]): Promise<number> {
  const found = await connectors(machine);
  const modes = [...found.map(({ id }) => `-s ${id}:1024x768`), ...more].join(' ');
  const from = machine.output.length;
  machine.type(`sleep 1000 | modetest -M vboxvideo ${modes} &\n`);
  await machine.serial(/setting mode 1024x768[^\r]*on connectors/, 60, from);
  return found.length;
}

/** What is wrong with a picture of one of `count` monitors, looked at in the middle of each bar that is on it. */
export function wrongBars({ width, height, at }: Shot, monitor: number, count: number): string {
  if (width !== 1024 || height !== 768) return `${width}x${height}`;
  const wrong = BARS.flatMap((colour, bar) => {
    const x = Math.floor(((bar + 0.5) / BARS.length) * 1024 * count) - 1024 * monitor;
    return 0 <= x && x < 1024 && at(x, 100) !== colour ? [`${x}: ${at(x, 100).toString(16)}`] : [];
  });
  return wrong.join(' ');
}

/**
 * Opens VirtualBox's pointing device in the guest, which then takes positions; what comes is kept in /tmp/events. To be
 * run by its shell.
 */
export const OPEN_POINTING =
  "(cat /dev/input/$(grep -A 5 'mouse integration' /proc/bus/input/devices | grep -o 'event[0-9]*') >/tmp/events &)";

/** The last position in /tmp/events: 32-bit kernels' input events as eight numbers of 16 bits. To be run by its shell. */
export const LAST_POSITION = `tail -c 1600 /tmp/events | hexdump -v -e '8/2 "%u " "\\n"' | grep -E '^([0-9]+ ){4}3 '`;

/** @param text what LAST_POSITION prints. @returns x and y, 0 to 65535 */
export function positionIn(text: string): readonly [number, number] {
  const axis = (code: number): number => {
    const values = [...text.matchAll(/^(?:\d+ ){4}3 (\d+) (\d+) \d+ *$/gm)].filter(([, of]) => Number(of) === code);
    return Number(values.at(-1)?.[2] ?? Number.NaN);
  };
  return [axis(0), axis(1)];
}

/** Opens the PS/2 mouse in the guest, as its kernel has found it; what comes is kept in /tmp/turns. To be run by its shell. */
export const OPEN_MOUSE =
  "modprobe -a psmouse evdev; while ! grep -q 'Explorer Mouse' /proc/bus/input/devices; do sleep 0.1; done; " +
  "(cat /dev/input/$(grep -A 5 'Explorer Mouse' /proc/bus/input/devices | grep -o 'event[0-9]*') >/tmp/turns &)";

/** What the wheels did, as LAST_POSITION has positions: EV_REL with REL_HWHEEL or REL_WHEEL. To be run by the guest's shell. */
export const TURNS = `hexdump -v -e '8/2 "%u " "\\n"' /tmp/turns | grep -E '^([0-9]+ ){4}2 [68] '`;

/** Presses of buttons: EV_KEY, BTN_LEFT (272) to BTN_EXTRA (276). To be run by the guest's shell. */
export const PRESSES = `hexdump -v -e '8/2 "%u " "\\n"' /tmp/turns | grep -E '^([0-9]+ ){4}1 27[0-9] '`;

/** @param text what PRESSES prints. @returns buttons in their order, let go of with a minus */
export const pressesIn = (text: string): string =>
  [...text.matchAll(/^(?:\d+ ){4}1 (27\d) (\d) \d+ *\r?$/gm)]
    .map(([, code, down]) => (down === '1' ? code : `-${code}`))
    .join(' ');

/** @param text what TURNS prints. @returns the guest's notches in their order: right and away from the person positive */
export function turnsIn(text: string): string {
  const turns = [...text.matchAll(/^(?:\d+ ){4}2 ([68]) (\d+) \d+ *\r?$/gm)];
  return turns.map(([, code, low]) => `${code === '6' ? 'sideways' : 'up'} ${(Number(low) << 16) >> 16}`).join(', ');
}
