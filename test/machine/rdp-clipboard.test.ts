/** Text between the clipboards of people: two of them, each with xfreerdp on a desktop of their own. */
import type { ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { copy, copyFiles, pasted, pastes } from './support/clipboards.ts';
import { guest, Headless } from './support/headless.ts';
import { Display, eventually, RdpClient } from './support/rdp-clients.ts';
import { openGateway, paintTestCard, type TestGateway } from './support/rdp-gateways.ts';
import { WirePaster } from './support/wire-paster.ts';

const NO_CLIPBOARD = { fromClient: false, toClient: false };

/** A person's desktop, and the clipboard that it has. */
class Desk {
  readonly display: Display;
  readonly #holders: ChildProcess[] = [];

  private constructor(display: Display) {
    this.display = display;
  }

  static async open(): Promise<Desk> {
    return new Desk(await Display.open(800, 600));
  }

  copy(text: string): Promise<void> {
    return this.#holdNext(() => copy(this.display, text));
  }

  copyFiles(paths: readonly string[]): Promise<void> {
    return this.#holdNext(() => copyFiles(this.display, paths));
  }

  /**
   * Programs that people copy from stay open, but xclip ends when another has the clipboard, and xfreerdp 2 ends with BadWindow
   * when it has just begun to look at that one's window. So it is stopped before it hears of it.
   */
  async #holdNext(hold: () => Promise<ChildProcess>): Promise<void> {
    this.#holders.at(-1)?.kill('SIGSTOP');
    this.#holders.push(await hold());
  }

  pasted(): Promise<string | undefined> {
    return pasted(this.display);
  }

  pastes(text: string): Promise<void> {
    return pastes(this.display, text);
  }

  async close(): Promise<void> {
    for (const holder of this.#holders) holder.kill('SIGKILL');
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

async function enter({ display }: Desk, { gateway }: TestGateway): Promise<RdpClient> {
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
    await enter(ann, made);
    await eventually('the first text', () => (made.desktop.clipboard.text !== '' ? true : undefined));
    await enter(bob, made);
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
    await enter(ann, made);
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
    const client = await enter(ann, made);
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
    await enter(bob, made);
    const client = await enter(ann, made);
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
    const client = await enter(ann, made);
    await enter(bob, made);
    await bob.copy('of Bob');
    await ann.copy('of Ann');
    await client.key('ctrl+alt+shift+v');
    await eventually('the keys', () => (desktop.scancodes.includes(0x2f) ? true : undefined));
    expect([await bob.pasted(), desktop.clipboard.text, desktop.typed]).toEqual(['of Bob', '', []]);
  });
});

describe('files that a client has copied', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tabbox-rdp-files-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const ALLOWED = { fromClient: true, toClient: true, files: true };

  it('come when they are pasted, and text is typed again after them', async () => {
    const made = await gatewayWith({ clipboard: ALLOWED });
    const { desktop, log } = made;
    const client = await enter(ann, made);
    const contents = [randomBytes(700_000), Buffer.from('second\n')];
    const paths = ['Bild 1.bin', 'note.txt'].map((name) => join(folder, name));
    paths.forEach((path, i) => {
      writeFileSync(path, contents[i]);
    });
    await ann.copyFiles(paths);
    const press = async (): Promise<true | undefined> => {
      await client.key('ctrl+alt+shift+v');
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return desktop.given.length > 0 || undefined;
    };
    await eventually('files', press, 60_000).catch((cause: Error) => {
      throw new Error(`${cause.message}\n${log.join('\n')}\n${client.log.slice(-3000)}`);
    });
    const [{ files, from }] = desktop.given;
    expect(files.map(({ name }) => name)).toEqual(['Bild 1.bin', 'note.txt']);
    files.forEach(({ bytes }, i) => {
      expect(Buffer.from(bytes).equals(contents[i])).toBe(true);
    });
    expect([from, desktop.typed]).toEqual(['tester', []]);
    expect(log.join('\n')).toMatch(/2 files in the CD drive/);
    await ann.copy('text after them');
    await eventually('the text', () => (desktop.clipboard.text === 'text after them' ? true : undefined));
    await client.key('ctrl+alt+shift+v');
    await eventually('typing', () => (desktop.typed.length > 0 ? true : undefined));
    expect([desktop.typed[0], desktop.given.length]).toEqual(['text after them', 1]);
  });

  it('can be pasted by others, from xfreerdp piece by piece, until it leaves; text goes on', {
    timeout: 180_000,
  }, async () => {
    const made = await gatewayWith({ clipboard: ALLOWED });
    const { desktop } = made;
    const client = await enter(ann, made);
    // xfreerdp without FUSE cannot paste files; it is told of them all the same.
    await enter(bob, made);
    const paster = await WirePaster.enter(desktop);
    closers.push(() => paster.leave());
    const contents = [randomBytes(2_500_000), Buffer.from('second\n')];
    const paths = ['Bild 2.bin', 'second.txt'].map((name) => join(folder, name));
    paths.forEach((path, i) => {
      writeFileSync(path, contents[i]);
    });
    await ann.copyFiles(paths);
    const isTold = (): true | undefined => paster.formats.includes('FileGroupDescriptorW') || undefined;
    await eventually('files to paste', isTold);
    // xfreerdp 2 says that it has nothing while it looks at its clipboard; people paste again.
    const listed = await eventually('the list', () => paster.list(), 60_000);
    expect(listed).toEqual([
      { name: 'Bild 2.bin', byteCount: 2_500_000 },
      { name: 'second.txt', byteCount: 7 },
    ]);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < 2_500_000; ) {
      const part = await paster.read(0, at, 400_000);
      if (!part || part.length === 0) throw new Error(`nothing at ${at}\n${client.log.slice(-2000)}`);
      parts.push(part);
      at += part.length;
    }
    expect(parts).toHaveLength(7);
    expect(Buffer.concat(parts).equals(contents[0])).toBe(true);
    expect(Buffer.from((await paster.read(1, 0, 100)) ?? []).toString()).toBe('second\n');
    await ann.copy('text after them');
    // It was in Ann's clipboard once before: copied again it is newer than the files.
    await bob.pastes('text after them');
    await eventually('text alone', () => (paster.formats[0] === '' ? true : undefined));
    expect([paster.formats, await paster.read(0, 0, 10)]).toEqual([[''], undefined]);
    await ann.copyFiles(paths);
    await eventually('files again', isTold);
    await eventually('the list', () => paster.list(), 60_000);
    const last = paster.read(0, 0, 1_000_000);
    await client.close();
    await eventually('the end', () => (paster.formats.length === 0 ? true : undefined));
    const got = await last;
    expect([got === undefined || got.length <= 1_000_000, await paster.read(0, 0, 10)]).toEqual([true, undefined]);
    expect(desktop.given).toEqual([]);
  });

  it('are on the CD of a real guest', { timeout: 600_000 }, async () => {
    const machine = new Headless([
      ...['--kernel', guest('default-kernel'), '--initrd', guest('default-initrd'), '--append', 'console=ttyS0 quiet'],
      ...['--vrde', 'on', '--vrdeport', '41000-41100'],
      ...['--clipboard-mode', 'hosttoguest', '--clipboard-file-transfers', 'enabled'],
    ]);
    closers.push(() => machine.kill());
    await machine.serial(/BOOT-OK/, 300);
    const port = Number(/RDP: \S+:(\d+)\n/.exec(machine.errors)?.[1]);
    const args = ['/sec:tls', '/bpp:24', '+clipboard', '-grab-keyboard', '/kbd:0x409'];
    const client = RdpClient.freerdp(ann.display, { port, args });
    closers.push(() => client.close());
    await client.window();
    const contents = randomBytes(300_000);
    const path = join(folder, 'Homework (1).bin');
    writeFileSync(path, contents);
    await ann.copyFiles([path]);
    const press = async (): Promise<true | undefined> => {
      await client.key('ctrl+alt+shift+v');
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return /in the CD drive/.test(machine.errors) || undefined;
    };
    await eventually('a disc', press, 60_000);
    const mount =
      'modprobe -a ata_piix sr_mod isofs; until [ -e /dev/sr0 ]; do sleep 1; done; mount -o ro /dev/sr0 /mnt';
    const from = machine.output.length;
    machine.type(`${mount}; sha256sum /mnt/*; echo read-$((6*7))\n`);
    const said = await machine.serial('read-42', 120, from);
    expect(said).toContain(`${createHash('sha256').update(contents).digest('hex')}  /mnt/Homework (1).bin`);
  });

  it('stay where they are unless somebody has allowed more', async () => {
    const made = await gatewayWith();
    const client = await enter(ann, made);
    const path = join(folder, 'secret');
    writeFileSync(path, 'secret');
    await ann.copyFiles([path]);
    for (let i = 0; i < 3; i++) {
      await client.key('ctrl+alt+shift+v');
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    expect(made.desktop.given).toEqual([]);
  });
});
