/** Text between the clipboards of people: two of them, each with xfreerdp on a desktop of their own. */
import type { ChildProcess } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { copy, pasted, pastes } from './support/clipboards.ts';
import { Display, eventually, RdpClient } from './support/rdp-clients.ts';
import { openGateway, paintTestCard, type TestGateway } from './support/rdp-gateways.ts';

const NO_CLIPBOARD = { fromClient: false, toClient: false };

/** A person's desktop, and the clipboard that it has. */
class Desk {
  readonly display: Display;
  #holder: ChildProcess | undefined;

  private constructor(display: Display) {
    this.display = display;
  }

  static async open(): Promise<Desk> {
    return new Desk(await Display.open(800, 600));
  }

  async copy(text: string): Promise<void> {
    const before = this.#holder;
    this.#holder = await copy(this.display, text);
    before?.kill();
  }

  pasted(): Promise<string | undefined> {
    return pasted(this.display);
  }

  pastes(text: string): Promise<void> {
    return pastes(this.display, text);
  }

  async close(): Promise<void> {
    this.#holder?.kill();
    await this.display.close();
  }
}

let ann: Desk;
let bob: Desk;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  [ann, bob] = await Promise.all([Desk.open(), Desk.open()]);
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(async () => {
  await ann.close();
  await bob.close();
});

async function gatewayWith(settings: Parameters<typeof openGateway>[0] = {}): Promise<TestGateway> {
  const made = await openGateway(settings);
  closers.push(() => made.gateway.close());
  paintTestCard(made.desktop);
  return made;
}

async function join({ display }: Desk, { gateway }: TestGateway): Promise<RdpClient> {
  const args = ['/sec:tls', '/bpp:24', '+clipboard', '-grab-keyboard', '/kbd:0x409'];
  const client = RdpClient.freerdp(display, { port: gateway.port, args });
  closers.push(() => client.close());
  await client.shows('picture', (shot) => shot.at(50, 250) === 0x00c040);
  return client;
}

describe('what one person copies', () => {
  it('another can paste, both ways, and after a hundred copies in a row it is the last one', async () => {
    const made = await gatewayWith();
    await ann.copy('before anybody came');
    await join(ann, made);
    await eventually('the first text', () => (made.desktop.clipboard.text !== '' ? true : undefined));
    await join(bob, made);
    await bob.pastes('before anybody came');
    await bob.copy('Grüße von Bob: ½ €\nzweite Zeile');
    await ann.pastes('Grüße von Bob: ½ €\nzweite Zeile');
    for (let i = 1; i <= 100; i++) await ann.copy(`copy ${i}`);
    await bob.pastes('copy 100');
    await bob.copy('after that');
    await ann.pastes('after that');
  });

  it('goes to rdesktop and comes from there', async () => {
    const made = await gatewayWith();
    await join(ann, made);
    const args = ['-g', '640x480', '-a', '24', '-r', 'clipboard:CLIPBOARD'];
    const client = RdpClient.rdesktop(bob.display, { port: made.gateway.port, args });
    closers.push(() => client.close());
    await client.shows('picture', (shot) => shot.at(50, 250) === 0x00c040);
    await bob.copy('from rdesktop: ½\nsecond line');
    await ann.pastes('from rdesktop: ½\nsecond line');
    await ann.copy('to rdesktop: ½');
    await bob.pastes('to rdesktop: ½');
  });

  it('is typed by Ctrl-Alt-Shift-V, and nothing stays down', async () => {
    const made = await gatewayWith();
    const { desktop } = made;
    const client = await join(ann, made);
    await ann.copy('echo "typed"\n');
    await eventually('the text', () => (desktop.clipboard.text === 'echo "typed"\n' ? true : undefined));
    desktop.scancodes.length = 0;
    await client.key('ctrl+alt+shift+v');
    await eventually('typing', () => (desktop.typed.length > 0 ? true : undefined));
    expect(desktop.typed).toEqual(['echo "typed"\n']);
    const heldBefore = desktop.scancodes.filter((code) => code < 0x80);
    const letGo = desktop.scancodes.filter((code) => code >= 0x80).map((code) => code & 0x7f);
    expect(letGo).toEqual(expect.arrayContaining(heldBefore));
    expect(heldBefore).not.toContain(0x2f);
    await client.key('v');
    await eventually('a key of its own', () => (desktop.scancodes.join().endsWith('47,175') ? true : undefined));
  });

  it('is what a text screen says, with Ctrl-Alt-Shift-X, for whoever has pressed it', async () => {
    const made = await gatewayWith();
    const { desktop } = made;
    desktop.screenText = () => 'login: \nsecond line\n';
    await ann.copy('before');
    await bob.copy('of Bob');
    await join(bob, made);
    const client = await join(ann, made);
    await eventually('texts', () => (desktop.clipboard.text !== '' ? true : undefined));
    await client.key('ctrl+alt+shift+x');
    await ann.pastes('login: \nsecond line\n');
    expect(desktop.scancodes.map((code) => code & 0x7f)).not.toContain(0x2d);
    expect(await bob.pasted()).not.toMatch(/login/);
    desktop.screenText = () => '';
    await client.key('ctrl+alt+shift+x');
    await eventually('the guest’s own keys', () => (desktop.scancodes.includes(0x2d) ? true : undefined));
  });

  it('stays where it is unless somebody has allowed more', async () => {
    const made = await gatewayWith({ clipboard: NO_CLIPBOARD });
    const { desktop } = made;
    const client = await join(ann, made);
    await join(bob, made);
    await bob.copy('of Bob');
    await ann.copy('of Ann');
    await client.key('ctrl+alt+shift+v');
    await eventually('the keys', () => (desktop.scancodes.includes(0x2f) ? true : undefined));
    expect([await bob.pasted(), desktop.clipboard.text, desktop.typed]).toEqual(['of Bob', '', []]);
  });
});
