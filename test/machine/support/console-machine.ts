/** A guest's text console as RDP clients show it: a card that the guest draws there, and what people type below it. */
import type { DesktopClient, SetUp, Target } from './desktop-clients.ts';
import type { Display, Shot } from './rdp-clients.ts';

const [WIDTH, HEIGHT] = [720, 400];
/** Boxes are ten characters of 9 by 16 pixels. */
const [BOX_WIDTH, BOX_HEIGHT, COLUMNS, ROWS] = [90, 16, 8, 20];
const CARD_HEIGHT = ROWS * BOX_HEIGHT;
/** Linux's colours of virtual terminals (drivers/tty/vt/vt.c: default_red, default_grn, default_blu). */
const COLOURS = [0x000000, 0xaa0000, 0x00aa00, 0xaa5500, 0x0000aa, 0xaa00aa, 0x00aaaa, 0xaaaaaa];

/** A machine whose guest has a shell on the screen, and another for the test's own commands. */
export interface ConsoleMachine {
  /** Has the other shell run a line. */
  run(line: string): Promise<unknown>;
  screenText(): Promise<string>;
  /** What the machine itself says it shows. */
  picture(): Promise<Shot>;
}

/** To be run by the guest's shell: the screen in boxes of all colours, no cursor, five lines left. */
function cardCommand(seed: number): string {
  const count = (to: number): string => Array.from({ length: to }, (_, n) => n).join(' ');
  const box = `printf '\\033[4%dm          ' $(((x + y + ${seed}) % ${COLOURS.length}))`;
  const boxes = `for y in ${count(ROWS)}; do for x in ${count(COLUMNS)}; do ${box}; done; done`;
  return `(printf '\\033[2J\\033[?25l\\033[H'; ${boxes}; printf '\\033[0m') >/dev/tty1`;
}

const cardAt = (x: number, y: number, seed: number): number =>
  COLOURS[(Math.floor(x / BOX_WIDTH) + Math.floor(y / BOX_HEIGHT) + seed) % COLOURS.length];

const isNear = (a: number, b: number, tolerance: number): boolean =>
  [16, 8, 0].every((shift) => Math.abs(((a >> shift) & 255) - ((b >> shift) & 255)) <= tolerance);

/** Corners of some boxes: only at one place of a picture are all colours right. */
const CORNERS = [0, 1, 7, 12, 19].flatMap((row) =>
  [0, 2, 5, 7].flatMap((column) =>
    [0, BOX_WIDTH - 1].flatMap((dx) =>
      [0, BOX_HEIGHT - 1].map((dy) => [column * BOX_WIDTH + dx, row * BOX_HEIGHT + dy] as const),
    ),
  ),
);

interface Place {
  readonly x: number;
  readonly y: number;
}

/** Where a window shows the card, with bars around it or not. @param tolerance of a channel */
function placeOfCard(shot: Shot, seed: number, tolerance: number): Place | undefined {
  const isHere = (x: number, y: number): boolean =>
    CORNERS.every(([dx, dy]) => isNear(shot.at(x + dx, y + dy), cardAt(dx, dy, seed), tolerance));
  for (let y = 0; y + HEIGHT <= shot.height; y++) {
    for (let x = 0; x + WIDTH <= shot.width; x++) if (isHere(x, y)) return { x, y };
  }
  return undefined;
}

/** How far a client's picture is from what it should be. */
interface Difference {
  /** Pixels with another colour. */
  readonly wrong: number;
  /** Of a channel, on average: of the card, and of the lines below it. */
  readonly off: readonly [number, number];
}

/** The card is to be as the guest has drawn it, what is below as the machine itself shows it. */
function compare(shot: Shot, place: Place, seed: number, own: Shot): Difference {
  let wrong = 0;
  const sums: [number, number] = [0, 0];
  for (let y = 0; y < HEIGHT; y++) {
    const part = y < CARD_HEIGHT ? 0 : 1;
    for (let x = 0; x < WIDTH; x++) {
      const [is, should] = [shot.at(place.x + x, place.y + y), part === 0 ? cardAt(x, y, seed) : own.at(x, y)];
      if (is === should) continue;
      wrong++;
      for (const shift of [16, 8, 0]) sums[part] += Math.abs(((is >> shift) & 255) - ((should >> shift) & 255)) / 3;
    }
  }
  return { wrong, off: [sums[0] / (WIDTH * CARD_HEIGHT), sums[1] / (WIDTH * (HEIGHT - CARD_HEIGHT))] };
}

/** What RemoteFX may cost: of a channel at a box's corner, and on average. A line of text that is not there is off by 1. */
const [LOSS_AT_CORNERS, LOSS, LOSS_BELOW] = [32, 2, 0.4];

const seeds = { next: 1 };

/** What each client types. */
const WORD = 'hello';

/**
 * Lets a client in and sees that it shows what the guest draws and prints, every pixel of it, and that what is typed
 * there reaches the guest's shell.
 */
export async function isUsedWith(
  setUp: SetUp,
  display: Display,
  target: Target,
  machine: ConsoleMachine,
): Promise<void> {
  const client = await setUp.open(display, target);
  try {
    await showsAndTypes(client, machine, setUp.isLossy);
  } finally {
    await client.close();
  }
}

async function showsAndTypes(client: DesktopClient, machine: ConsoleMachine, isLossy: boolean): Promise<void> {
  const seed = seeds.next++;
  let found = 'nothing';
  let place: Place = { x: 0, y: 0 };
  const isRight = async (): Promise<true | undefined> => {
    const [shot, own] = [await client.shot(), await machine.picture()];
    const at = shot && placeOfCard(shot, seed, isLossy ? LOSS_AT_CORNERS : 0);
    if (!at || own.width !== WIDTH || own.height !== HEIGHT) {
      found = `no card on ${shot?.width}x${shot?.height} of ${own.width}x${own.height}`;
      return undefined;
    }
    place = at;
    const { wrong, off } = compare(shot, at, seed, own);
    found = `${wrong} wrong pixels, off by ${off.join(' and ')}`;
    return (isLossy ? wrong > 0 && off[0] < LOSS && off[1] < LOSS_BELOW : wrong === 0) || undefined;
  };
  const shows = async (what: string): Promise<void> => {
    await client.wait(what, isRight).catch((cause: Error) => {
      throw new Error(`${found}: ${cause.message}`);
    });
  };

  await machine.run(cardCommand(seed));
  await shows('the card');
  const press = async (...keys: string[]): Promise<void> => {
    await client.clickAndPress(place.x + WIDTH / 2, place.y + HEIGHT / 2, ...keys);
  };
  const has = async (pattern: RegExp): Promise<true | undefined> =>
    pattern.test(await machine.screenText()) || undefined;
  // Until the window has the keyboard.
  await client.wait('a key', async () => {
    await press('q');
    return await has(/q/);
  });
  await press('ctrl+u', 'e', 'c', 'h', 'o', 'space', ...WORD, 'Return');
  await client.wait('answer of the shell', () => has(new RegExp(`echo ${WORD}\\s+${WORD}\\s`)));
  await shows('the card with what was typed');
}
