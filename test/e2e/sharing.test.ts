/** One machine, several people: by links, in browsers of their own. */
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ANSWER_MS,
  BOOT_MS,
  makeMachine,
  prepare,
  screen,
  textOf,
  type,
  until,
  untilScreen,
} from './support/machine-page.ts';
import { GUESTS_DIRECTORY, type Lab, openLab, type Visit } from './support/page-test.ts';
import { People } from './support/people.ts';

/** A picture is to be there within a second; a loaded machine may take longer. */
const FIRST_PICTURE_MS = 20_000;

let lab: Lab;
let people: People;
let host: Visit;
let ann: Page;
let bob: Page;
let eve: Page;

const one = (page: Page, id: string) => page.getByTestId(id).first();

/** Makes a link in the dialog, which is left open. @returns its address */
async function makeLink(page: Page, role: string, label: string, uses?: string): Promise<string> {
  await page.getByTestId(`role-${role}`).check();
  await page.getByTestId('link-label').fill(label);
  await page.getByTestId('uses').selectOption(uses ?? 'any number of people');
  await page.getByTestId('make-link').click();
  const row = page.getByTestId('link').filter({ hasText: label });
  await row.waitFor();
  return row.getByTestId('link-address').inputValue();
}

async function openShare(page: Page): Promise<void> {
  await page.getByTestId('share').click();
  await page.getByTestId('dialog').waitFor();
}

const closeShare = (page: Page): Promise<void> => page.getByTestId('share-close').click();

/** Sockets are kept, so that a test can end them as a lost network does. */
async function keepSockets(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const sockets: WebSocket[] = [];
    Object.assign(window, { sockets });
    window.WebSocket = class extends WebSocket {
      constructor(...parameters: ConstructorParameters<typeof WebSocket>) {
        super(...parameters);
        sockets.push(this);
      }
    };
  });
}

/** As an administrator or an extension forbids it. */
const forbidRtc = (page: Page): Promise<void> =>
  page.addInitScript(() => {
    Reflect.deleteProperty(window, 'RTCPeerConnection');
  }) as Promise<unknown> as Promise<void>;

/** A person with a browser of their own opens a link. @returns how long the first picture took, in ms */
async function joinBy(
  address: string,
  name: string,
  withoutRtc = false,
): Promise<{ page: Page; visit: Visit; firstPictureMs: number }> {
  const visit = await people.open(address, withoutRtc ? forbidRtc : keepSockets);
  const { page } = visit;
  await one(page, 'viewer-name').fill(name);
  await page.evaluate(() => {
    const from = performance.now();
    const seen = (): void => {
      const at = document.querySelector('[data-testid=viewer][data-shown=true]');
      if (at) document.body.dataset['firstPicture'] = String(performance.now() - from);
      else setTimeout(seen, 1);
    };
    document.querySelector('form')?.addEventListener('submit', seen);
  });
  await one(page, 'join').click();
  await page.locator('body[data-first-picture]').waitFor({ timeout: FIRST_PICTURE_MS });
  return { page, visit, firstPictureMs: Number(await page.locator('body').getAttribute('data-first-picture')) };
}

/** Every pixel of the picture that a page shows, and its size, as one hash. */
const pictureOf = (page: Page): Promise<string> =>
  page.evaluate(async () => {
    const canvas = document.querySelector<HTMLCanvasElement>('[data-testid=canvas]');
    const data = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data;
    const hash = await crypto.subtle.digest('SHA-256', data ?? new Uint8Array(0));
    return `${canvas?.width}x${canvas?.height} ${[...new Uint8Array(hash)].map((byte) => byte.toString(16)).join('')}`;
  });

/** Waits until all show the same pixels. The cursor blinks, so pictures are taken again until they agree. */
async function samePixels(...pages: Page[]): Promise<string> {
  const seen = await until(
    async () => JSON.stringify(await Promise.all(pages.map(pictureOf))),
    /^\["([^"]*)"(,"\1")*\]$/,
    ANSWER_MS,
  );
  return (JSON.parse(seen) as string[])[0];
}

const focusAndType = async (page: Page, text: string): Promise<void> => {
  await page.getByTestId('screen').focus();
  await type(page, text);
};

const watchers = async (page: Page): Promise<string> => textOf(one(page, 'watchers'));

beforeAll(async () => {
  lab = await openLab();
  host = await lab.visit('', 'host');
  people = await People.gather();
  await prepare(host.page);
  await makeMachine(host.page, { files: [join(GUESTS_DIRECTORY, 'grub-rescue-floppy.img')], memoryMb: 64 });
  await untilScreen(host.page, /GNU GRUB[\s\S]*GNU\/Linux/, BOOT_MS);
  await focusAndType(host.page, 'c');
  await untilScreen(host.page, /grub> *$/m, ANSWER_MS);
  await openShare(host.page);
  await host.page.getByTestId('share-name').fill('Teacher');
  await host.page.getByTestId('share-start').click();
  await host.page.locator('[data-testid=share-state][data-state=open]').waitFor();
}, 2 * BOOT_MS);

afterAll(async () => {
  await people.close();
  await lab.close();
});

describe('a shared machine', () => {
  let control = '';

  it('is seen by those with a link, with the same pixels, at once', async () => {
    control = await makeLink(host.page, 'control', 'class');
    const view = await makeLink(host.page, 'view', 'visitors');
    await host.page.getByTestId('show-qr').first().click();
    await host.page.getByRole('img', { name: /QR code/ }).waitFor();
    await closeShare(host.page);
    const joined = [await joinBy(control, 'Ann'), await joinBy(control, 'Bob'), await joinBy(view, 'Eve')];
    [ann, bob, eve] = joined.map(({ page }) => page);
    console.log('first picture, ms:', joined.map(({ firstPictureMs }) => firstPictureMs.toFixed(0)).join(', '));
    expect(await samePixels(host.page, ann, bob, eve)).toMatch(/^(720|640)x/);
    await until(() => watchers(host.page), /3 watching: Ann, Bob, Eve/, ANSWER_MS);
    await until(() => watchers(ann), /2 watching: Bob, Eve/, ANSWER_MS);
  });

  it('goes from browser to browser where there is a way, and through the relay where not', async () => {
    const hasWay = await host.page.evaluate(async () => {
      // As the viewers find out: is there an address to offer at all?
      const connection = new RTCPeerConnection();
      connection.createDataChannel('x');
      let found = false;
      connection.onicecandidate = ({ candidate }) => {
        if (candidate?.candidate) found = true;
      };
      await connection.setLocalDescription(await connection.createOffer());
      for (let left = 100; left > 0 && !found; left--) await new Promise((resolve) => setTimeout(resolve, 50));
      connection.close();
      return found;
    });
    console.log('browser to browser:', hasWay);
    const isDirect = (page: Page): Promise<string> =>
      page.evaluate(() => String(window.tabboxViewer?.state.value.isDirect));
    for (const page of [ann, bob, eve]) await until(() => isDirect(page), hasWay ? /true/ : /false/, ANSWER_MS);
    await samePixels(host.page, ann, bob, eve);
    const { page: relayed, visit } = await joinBy(control, 'Rex', true);
    expect(await isDirect(relayed)).toBe('false');
    await samePixels(host.page, ann, relayed);
    await focusAndType(relayed, 'x');
    await untilScreen(host.page, /grub> x *$/m, ANSWER_MS);
    await focusAndType(relayed, '\b');
    await samePixels(host.page, ann, bob, relayed);
    expect(await isDirect(relayed)).toBe('false');
    await visit.context.close();
    await until(() => watchers(host.page), /3 watching/, ANSWER_MS);
  });

  it('is typed into by each in turn, and not by those who only watch', async () => {
    await focusAndType(eve, 'evil');
    await focusAndType(ann, 'echo a');
    await untilScreen(host.page, /grub> echo a *$/m, ANSWER_MS);
    await focusAndType(bob, 'b');
    await untilScreen(host.page, /grub> echo ab *$/m, ANSWER_MS);
    await focusAndType(host.page, 'c\n');
    await untilScreen(host.page, /^abc *$/m, ANSWER_MS);
    await samePixels(host.page, ann, bob, eve);
    expect(await textOf(eve.getByTestId('screen-hint'))).toMatch(/You watch/);
    expect(await screen(host.page)).not.toContain('evil');
  });

  it('ignores a watcher who leaves the page’s rules aside', async () => {
    await eve.evaluate(() => {
      // What the page would not send: input of its own, and in others' names.
      const viewer = window.tabboxViewer;
      if (!viewer) throw new Error('no viewer');
      Object.defineProperty(viewer, 'mayType', { get: () => true });
      viewer.keyboard.putScancodes([0x2d, 0xad]);
      viewer.typeText('x');
      viewer.act('lease');
      viewer.act('take', 3);
    });
    // What came through would have come before this.
    await focusAndType(ann, 'y');
    expect(await untilScreen(host.page, /grub> y *$/m, ANSWER_MS)).not.toMatch(/grub> x/);
    await focusAndType(ann, '\b');
  });

  it('passes on what somebody copies for all, and types it where it is wanted', async () => {
    const copyToOthers = async (page: Page, text: string): Promise<void> => {
      await page.bringToFront();
      await page.evaluate((one) => navigator.clipboard.writeText(one), text);
      await one(page, 'copy-to-others').click();
    };
    await copyToOthers(ann, 'echo of Ann');
    await until(() => textOf(one(host.page, 'copied')), /Ann has copied: echo of Ann/, ANSWER_MS);
    await one(bob, 'copied').waitFor();
    await host.page.bringToFront();
    await one(host.page, 'copied-type').click();
    await untilScreen(host.page, /grub> echo of Ann *$/m, ANSWER_MS);
    await focusAndType(host.page, '\n');
    await untilScreen(host.page, /^of Ann *$/m, ANSWER_MS);
    await copyToOthers(host.page, 'of the host');
    await until(() => textOf(one(bob, 'copied')), /Teacher has copied: of the host/, ANSWER_MS);
    await bob.bringToFront();
    await one(bob, 'copied-take').click();
    await until(() => bob.evaluate(() => navigator.clipboard.readText()), /^of the host$/, ANSWER_MS);
    expect(await eve.getByTestId('copied').count()).toBe(0);
  });

  it('shows where others point', async () => {
    const box = await ann.getByTestId('canvas').boundingBox();
    if (!box) throw new Error('no canvas');
    await ann.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    for (const page of [host.page, bob, eve]) await page.locator('.pointer', { hasText: 'Ann' }).waitFor();
    const pointer = await bob.locator('.pointer', { hasText: 'Ann' }).boundingBox();
    const there = await bob.getByTestId('canvas').boundingBox();
    expect(Math.abs((pointer?.x ?? 0) - ((there?.x ?? 0) + (there?.width ?? 0) / 2))).toBeLessThan(5);
  });

  it('hands keyboard and mouse from one to the other', async () => {
    await openShare(host.page);
    await host.page.getByTestId('mode-lease').check();
    await closeShare(host.page);
    await one(bob, 'lease-request').click();
    await focusAndType(bob, 'n');
    await host.page.locator('[data-testid^=lease-give-]').click();
    await until(() => textOf(one(bob, 'lease-holder')), /You have/, ANSWER_MS);
    await focusAndType(ann, 'n');
    await focusAndType(host.page, 'n');
    await focusAndType(bob, 'echo bob');
    await untilScreen(host.page, /grub> echo bob *$/m, ANSWER_MS);
    await one(ann, 'lease-request').click();
    await bob.locator('[data-testid^=lease-give-]').click();
    await until(() => textOf(one(ann, 'lease-holder')), /You have/, ANSWER_MS);
    await focusAndType(bob, 'n');
    await focusAndType(ann, 'ann\n');
    await untilScreen(host.page, /^bobann *$/m, ANSWER_MS);
    await one(host.page, 'lease-take').click();
    await until(() => textOf(one(host.page, 'lease-holder')), /You have/, ANSWER_MS);
    await focusAndType(ann, 'n');
    await focusAndType(host.page, 'echo host\n');
    await untilScreen(host.page, /^host *$/m, ANSWER_MS);
    await openShare(host.page);
    await host.page.getByTestId('mode-share').check();
    await closeShare(host.page);
  });

  it('has no key stay down when somebody leaves rudely', async () => {
    const { page, visit } = await joinBy(control, 'Rude');
    await page.getByTestId('screen').focus();
    await page.keyboard.down('ShiftLeft');
    await page.keyboard.press('KeyQ');
    await untilScreen(host.page, /grub> Q *$/m, ANSWER_MS);
    await visit.context.close();
    await until(() => watchers(host.page), /^(?!.*Rude)/, ANSWER_MS);
    await focusAndType(ann, 'q');
    await untilScreen(host.page, /grub> Qq *$/m, ANSWER_MS);
    await focusAndType(ann, '\b\b');
  });

  it('comes back to a viewer whose network went away', async () => {
    const key = await ann.evaluate(() => window.tabboxViewer?.state.value.id);
    await ann.evaluate(() => {
      const Plain = WebSocket;
      // The network is gone for a moment: what is open ends, and what is opened fails.
      for (const socket of (window as unknown as { sockets: WebSocket[] }).sockets) socket.close();
      window.WebSocket = class extends Plain {
        constructor() {
          super('ws://127.0.0.1:9/');
        }
      } as unknown as typeof WebSocket;
      setTimeout(() => {
        window.WebSocket = Plain;
      }, 1000);
    });
    await one(ann, 'viewer-notice').waitFor();
    await one(ann, 'viewer-notice').waitFor({ state: 'detached', timeout: ANSWER_MS });
    expect(await ann.evaluate(() => window.tabboxViewer?.state.value.id)).toBe(key);
    await focusAndType(ann, 'z');
    await untilScreen(host.page, /grub> z *$/m, ANSWER_MS);
    await samePixels(host.page, ann, bob);
    await focusAndType(ann, '\b');
  });
});

describe('links that are no good', () => {
  it('let nobody in: used up, revoked, tampered with', async () => {
    await openShare(host.page);
    const once = await makeLink(host.page, 'control', 'once', 'one person');
    const { page } = await joinBy(once, 'First');
    const second = await people.open(once);
    await one(second.page, 'viewer-name').fill('Second');
    await one(second.page, 'join').click();
    await until(() => textOf(one(second.page, 'viewer-over')), /used as often/, ANSWER_MS);
    await host.page.getByTestId('link').filter({ hasText: 'once' }).getByTestId('revoke-link').click();
    await until(() => textOf(one(page, 'viewer-over')), /no longer see[\s\S]*revoked/, ANSWER_MS);
    await page.reload();
    await one(page, 'join').click();
    await until(() => textOf(one(page, 'viewer-over')), /no longer valid/, ANSWER_MS);

    const [head, payload, signature] = once.split('#join=')[1].split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { rights: unknown };
    claims.rights = { session: { host: true } };
    const forged = [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
    await second.page.goto(`${once.split('#')[0]}?again#join=${forged}`);
    await one(second.page, 'join').click();
    await until(() => textOf(one(second.page, 'viewer-over')), /not of this relay/, ANSWER_MS);
  });
});

describe('a still screen', () => {
  it('costs nothing but keep-alives', async () => {
    // The cursor would blink.
    await closeShare(host.page);
    await host.page.getByTestId('pause').click();
    await samePixels(host.page, ann, bob);
    const bytes = (): Promise<number> => bob.evaluate(() => window.tabboxViewer?.receivedBytes ?? 0);
    const before = await bytes();
    await new Promise((resolve) => setTimeout(resolve, 8000));
    const received = (await bytes()) - before;
    console.log('bytes in 8 s of a still screen:', received);
    // A keep-alive is one byte.
    expect(received).toBeLessThanOrEqual(2);
    await host.page.getByTestId('resume').click();
  });

  it('and the end of sharing is told to everybody', async () => {
    await openShare(host.page);
    await host.page.getByTestId('share-stop').click();
    for (const page of [ann, bob, eve]) {
      await until(() => textOf(one(page, 'viewer-over')), /stopped sharing/, ANSWER_MS);
    }
    expect(await host.page.getByTestId('watchers').count()).toBe(0);
    expect([...host.errors, ...people.errors].filter((line) => !/WebSocket/.test(line))).toEqual([]);
  });
});
