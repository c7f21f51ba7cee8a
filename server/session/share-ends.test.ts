/** Both ends of a link as browsers run them, with a real relay between them. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { CodedError } from '#base/errors.ts';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import type { Copied } from '#display/sharing/clipboard-parts.ts';
import { EarlySocket } from '#display/sharing/early-socket.ts';
import { ShareHost, type ShareState } from '#display/sharing/share-host.ts';
import { Viewer } from '#display/sharing/viewer.ts';
import { ANY_NUMBER_OF_USES, decodeMessage, encodeMessage, HOST, type Role } from '#display/stream/messages.ts';
import { ScreenDecoder } from '#display/stream/screen-decoder.ts';
import { JoinTokens } from '../relay/join-tokens.ts';
import { type RelayBench, startRelay, until } from './relay-bench.suite.ts';

const tokens = new JoinTokens(new Uint8Array(32).fill(9));
let bench: RelayBench;
let base = '';
const sockets: WebSocket[] = [];
const open: { close(): void }[] = [];

beforeAll(async () => {
  bench = await startRelay(tokens);
  base = bench.base;
});

afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

afterAll(async () => {
  await bench.close();
});

function newSocket(url: string, protocols: string[]): globalThis.WebSocket {
  const socket = new WebSocket(url, protocols);
  sockets.push(socket);
  return socket as unknown as globalThis.WebSocket;
}

/** A host whose direct connections are what the test makes of them. */
function hostOf(desktop: PaintedDesktop) {
  const direct = { signals: [] as string[], sent: [] as Uint8Array[], closed: [] as number[] };
  const copied: Copied[] = [];
  const drive = { discs: [] as { image: Uint8Array; name: string }[], isLocked: false };
  let state: ShareState | undefined;
  const host = new ShareHost({
    ...{ url: `${base.replace('http', 'ws')}relay/session`, machine: 'Painted', name: 'Host', desktop, newSocket },
    token: () => tokens.issue({ subject: 'test', rights: { session: { host: true } }, lifeSeconds: 60 }),
    fourByThree: () => true,
    keyboard: { putScancodes: (set1) => desktop.scancodes.push(...set1) },
    mouse: { move: (dx, dy, dz, buttons, dw) => desktop.mouse.push({ dx, dy, dz, buttons, dw }) },
    ...{ typeText: () => {}, onPointer: () => {} },
    onCopied: (one) => copied.push(one),
    insertDisc: async (image, name) => {
      if (drive.isLocked) throw new CodedError('locked', 'the guest has locked its drive');
      drive.discs.push({ image, name });
    },
    onState: (now) => {
      state = now;
    },
    direct: {
      signal: (_, data) => direct.signals.push(data),
      send: (_, message) => direct.sent.push(message),
      close: (participant) => direct.closed.push(participant),
    },
  });
  open.push({ close: () => host.stop() });
  const socket = (): WebSocket => sockets[sockets.length - 1];
  return { host, direct, drive, copied, state: () => state, socket };
}

async function linkOf(host: ShareHost, role: Role): Promise<string> {
  await until('shared', () => host.state.people.length > 0);
  const had = host.state.links.length;
  host.makeLink({ label: role, role, lifetime: 0, uses: ANY_NUMBER_OF_USES });
  await until('a link', () => host.state.links.length > had);
  return host.state.links[had].token;
}

function viewerOf(token: string, name: string): Viewer {
  const viewer = new Viewer({ base, token, name, key: '', onKey: () => {}, newSocket });
  open.push(viewer);
  return viewer;
}

const shows = (viewer: Viewer, { screen }: PaintedDesktop): boolean =>
  viewer.width === screen.width &&
  viewer.height === screen.height &&
  Buffer.compare(Buffer.from(viewer.pixels.buffer), Buffer.from(screen.pixels.buffer)) === 0;

describe('a host and its viewers', () => {
  it.each(['opens', 'is open', 'is gone'])(
    'meet over a connection that %s before the viewer has a name',
    async (state) => {
      const desktop = new PaintedDesktop(300, 200);
      const { host } = hostOf(desktop);
      const token = await linkOf(host, 'view');
      const had = sockets.length;
      const early = new EarlySocket(base, token, newSocket);
      const [socket] = sockets.slice(had);
      if (state !== 'opens') await until('open', () => socket.readyState === WebSocket.OPEN);
      if (state === 'is gone') {
        socket.terminate();
        await until('gone', () => socket.readyState === WebSocket.CLOSED);
      }
      expect(host.state.people).toHaveLength(1);
      const ann = new Viewer({ base, token, name: 'Ann', key: '', onKey: () => {}, newSocket: early.take });
      open.push(ann);
      await until('the picture', () => shows(ann, desktop));
      expect(sockets.length - had).toBe(state === 'is gone' ? 2 : 1);
      // It is used once: what comes after it are connections of their own.
      sockets[sockets.length - 1].terminate();
      desktop.paint(10, 10, 50, 50, 0xff_0000);
      await until('the picture again', () => shows(ann, desktop));
      expect(sockets.length - had).toBe(state === 'is gone' ? 3 : 2);
    },
  );

  it('do not meet once the session is over, though the connection was there before', async () => {
    const { host } = hostOf(new PaintedDesktop(300, 200));
    const token = await linkOf(host, 'view');
    const had = sockets.length;
    const early = new EarlySocket(base, token, newSocket);
    await until('open', () => sockets[had].readyState === WebSocket.OPEN);
    host.stop();
    await until('over', () => sockets[had - 1].readyState === WebSocket.CLOSED);
    const ann = new Viewer({ base, token, name: 'Ann', key: '', onKey: () => {}, newSocket: early.take });
    open.push(ann);
    await until('refused', () => ann.state.value.connection === 'closed');
    expect(ann.state.value.why).toMatch(/over/);
    expect(sockets.length - had).toBe(1);
  });

  it('show the same through changes of picture and size', async () => {
    const desktop = new PaintedDesktop(300, 200);
    const { host } = hostOf(desktop);
    const token = await linkOf(host, 'view');
    expect(desktop.viewCount).toBe(0);
    desktop.paint(10, 10, 50, 50, 0xff_0000);
    const ann = viewerOf(token, 'Ann');
    await until('the picture', () => shows(ann, desktop));
    expect(ann.fourByThree).toBe(true);
    for (let i = 0; i < 30; i++) desktop.paint(i * 9, i * 5, 20, 20, i * 0x01_0203);
    const bob = viewerOf(token, 'Bob');
    await until('the pictures', () => shows(ann, desktop) && shows(bob, desktop));
    desktop.resize(640, 480);
    desktop.paint(600, 400, 40, 80, 0x00_ff00);
    await until('the new size', () => shows(ann, desktop) && shows(bob, desktop));
    ann.close();
    bob.close();
    await until('nobody drawing for nobody', () => desktop.viewCount === 0);
  });

  it('turn both wheels, as far as one message tells', async () => {
    const desktop = new PaintedDesktop(128, 128);
    const { host } = hostOf(desktop);
    const ann = viewerOf(await linkOf(host, 'control'), 'Ann');
    const eve = viewerOf(await linkOf(host, 'view'), 'Eve');
    await until('the picture', () => shows(ann, desktop) && shows(eve, desktop));
    eve.mouse.move(0, 0, 1, 0, 1);
    ann.mouse.move(0, 0, 0, 0, -1);
    ann.mouse.move(0, 0, -2, 1, 3);
    ann.mouse.move(0, 0, 0, 0, -1000);
    await until('the turns', () => desktop.mouse.length >= 3);
    expect(desktop.mouse.map(({ dz, buttons, dw }) => [dz, buttons, dw])).toEqual([
      [0, 0, -1],
      [-2, 1, 3],
      [0, 0, -128],
    ]);
  });

  it('find each other again when the host was away, with nobody’s keys down', async () => {
    const desktop = new PaintedDesktop(128, 128);
    const { host, socket } = hostOf(desktop);
    const token = await linkOf(host, 'control');
    const hostSocket = socket();
    const ann = viewerOf(token, 'Ann');
    await until('the picture', () => shows(ann, desktop));
    ann.keyboard.putScancodes([0x2a]);
    await until('the key', () => desktop.scancodes.includes(0x2a));
    hostSocket.terminate();
    await until('the release', () => desktop.scancodes.includes(0xaa));
    await until('the absence', () => ann.state.value.people.every(({ id }) => id !== HOST));
    desktop.paint(0, 0, 9, 9, 0x12_3456);
    await until('the return', () => ann.state.value.people.some(({ id }) => id === HOST));
    await until('the new picture', () => shows(ann, desktop));
    expect(host.state.links).toHaveLength(1);
    ann.keyboard.putScancodes([0x1e, 0x9e]);
    await until('the keys', () => desktop.scancodes.includes(0x9e));
  });
});

describe('sound', () => {
  it('reaches those who listen, every frame of it, and is not coded for others', async () => {
    const desktop = new PaintedDesktop(64, 64);
    const { host } = hostOf(desktop);
    const token = await linkOf(host, 'view');
    const [ann, bob] = [viewerOf(token, 'Ann'), viewerOf(token, 'Bob')];
    await until('both here', () => host.state.people.length === 3 && shows(ann, desktop) && shows(bob, desktop));
    expect(desktop.listeners.size).toBe(0);
    const heard: number[] = [];
    let next = 0;
    const stop = ann.sound.listen((samples, firstFrame) => {
      expect(firstFrame).toBe(next);
      next += samples.length / 2;
      heard.push(...samples);
    });
    await until('somebody listening at the machine', () => desktop.listeners.size === 1);
    const played = Int16Array.from({ length: 20_000 }, (_, i) => Math.round(Math.sin(i) * 30_000));
    const before = bob.receivedBytes;
    // Pieces that are no whole packets, and a rest that is none.
    for (let at = 0; at < played.length; at += 1000) desktop.play(played.subarray(at, at + 1000));
    await until('all of it', () => heard.length >= played.length);
    expect(Int16Array.from(heard)).toEqual(played);
    expect(bob.receivedBytes - before).toBeLessThan(1000);
    stop();
    await until('nobody listening', () => desktop.listeners.size === 0);
  });

  it('that is silence is not sent', async () => {
    const desktop = new PaintedDesktop(64, 64);
    const { host } = hostOf(desktop);
    const ann = viewerOf(await linkOf(host, 'view'), 'Ann');
    const heard: number[] = [];
    ann.sound.listen((samples, firstFrame) => heard.push(firstFrame, samples.length / 2));
    await until('somebody listening', () => desktop.listeners.size === 1);
    for (let i = 0; i < 100; i++) desktop.play(new Int16Array(1920));
    const note = new Int16Array(1920).fill(1000);
    desktop.play(note);
    await until('the note', () => heard.at(-2) === 96_000);
    expect(heard).toEqual([96_000, 960]);
  });
});

describe('files for a guest', () => {
  const blob = (bytes: Uint8Array<ArrayBuffer>): Blob => new Blob([bytes]);
  const some = (count: number): Uint8Array<ArrayBuffer> =>
    Uint8Array.from({ length: count }, (_, i) => i * 7 + (i >> 9));

  it('arrive as a disc, however large they are, and with their names', async () => {
    const { host, drive } = hostOf(new PaintedDesktop(64, 64));
    const ann = viewerOf(await linkOf(host, 'control'), 'Ann');
    await until('both here', () => ann.state.value.role === 'control' && host.state.people.length === 2);
    const shares: number[] = [];
    await ann.giveDisc(
      [
        { name: 'A long name, ünïcode.txt', blob: blob(some(700_001)) },
        { name: 'empty', blob: blob(some(0)) },
      ],
      (share) => shares.push(share),
    );
    expect(shares.at(-1)).toBe(1);
    expect(drive.discs.map(({ name }) => name)).toEqual(['Files from Ann']);
    const image = Buffer.from(drive.discs[0].image);
    expect(image.subarray(16 * 2048 + 1, 16 * 2048 + 6).toString()).toBe('CD001');
    expect(image.includes(Buffer.from(some(700_001)))).toBe(true);
    expect(image.includes(Buffer.from('A long name, ünïcode.txt', 'utf16le').swap16())).toBe(true);
  });

  it('are refused with a reason, and to those who only watch', async () => {
    const { host, drive } = hostOf(new PaintedDesktop(64, 64));
    const token = await linkOf(host, 'control');
    const [ann, eve] = [viewerOf(token, 'Ann'), viewerOf(await linkOf(host, 'view'), 'Eve')];
    await until('all here', () => host.state.people.length === 3 && eve.state.value.id !== 0xffff);
    await until('a role', () => ann.state.value.role === 'control');
    const file = { name: 'x', blob: blob(some(40_000)) };
    await expect(eve.giveDisc([file])).rejects.toThrow(/may not give/);
    drive.isLocked = true;
    await expect(ann.giveDisc([file])).rejects.toThrow('the guest has locked its drive');
    await expect(ann.giveDisc([])).rejects.toThrow('there is no file');
    host.act('lease', HOST);
    // What the page would not send.
    for (const viewer of [ann, eve]) Object.defineProperty(viewer, 'mayType', { get: () => true });
    drive.isLocked = false;
    void eve.giveDisc([file]).catch(() => {});
    await expect(ann.giveDisc([file])).rejects.toThrow(/ask for keyboard and mouse/);
    expect(drive.discs).toEqual([]);
  });
});

describe('a copied text', () => {
  it('goes to all who may type, whoever has copied it, and to nobody else', async () => {
    const desktop = new PaintedDesktop(64, 64);
    const { host, copied } = hostOf(desktop);
    const atTheMachine: string[] = [];
    const rdp = desktop.clipboard.open((text) => atTheMachine.push(text));
    const token = await linkOf(host, 'control');
    const [ann, bob, eve] = [
      viewerOf(token, 'Ann'),
      viewerOf(token, 'Bob'),
      viewerOf(await linkOf(host, 'view'), 'Eve'),
    ];
    await until('all here', () => [ann, bob, eve].every(({ state }) => state.value.people.length === 4));
    const [annId, bobId] = [ann, bob].map(({ state }) => state.value.id);
    // What the page would not send.
    Object.defineProperty(eve, 'mayType', { get: () => true });
    eve.copy('of Eve');
    const long = 'Ännchen 𝄞\n'.repeat(20_000);
    ann.copy(long);
    await until('at Bob’s', () => bob.copied.value?.text === long);
    expect(bob.copied.value?.participant).toBe(annId);
    expect([atTheMachine, copied]).toEqual([[long], [{ participant: annId, text: long }]]);
    rdp.put('of an RDP client');
    for (const viewer of [ann, bob]) await until('at all', () => viewer.copied.value?.text === 'of an RDP client');
    host.copy('of the host');
    for (const viewer of [ann, bob]) await until('at all', () => viewer.copied.value?.text === 'of the host');
    expect([ann.copied.value?.participant, atTheMachine.at(-1)]).toEqual([HOST, 'of the host']);
    host.act('lease', HOST);
    await until('the lease', () => ann.state.value.lease.mode === 'lease');
    ann.copy('without the lease');
    Object.defineProperty(ann, 'mayType', { get: () => true });
    ann.copy('without the lease');
    host.act('give', bobId);
    await until('Bob’s turn', () => bob.mayType);
    bob.copy('with it');
    await until('the last one', () => ann.copied.value?.text === 'with it');
    expect([copied.at(-1)?.text, copied.length, eve.copied.value]).toEqual(['with it', 2, undefined]);
  });

  it('is dropped when it is too long or has no beginning', async () => {
    const { host, copied } = hostOf(new PaintedDesktop(64, 64));
    const ann = viewerOf(await linkOf(host, 'control'), 'Ann');
    await until('here', () => host.state.people.length === 2 && ann.mayType);
    ann.copy('x'.repeat(300_000));
    ann.copy('short');
    await until('the short one', () => copied.length > 0);
    expect(copied).toEqual([{ participant: ann.state.value.id, text: 'short' }]);
  });
});

describe('a direct connection', () => {
  it('has pictures and keys, under the same rules, and leaves nothing down when it ends', async () => {
    const desktop = new PaintedDesktop(128, 128);
    const { host, direct } = hostOf(desktop);
    const ann = viewerOf(await linkOf(host, 'control'), 'Ann');
    const eve = viewerOf(await linkOf(host, 'view'), 'Eve');
    await until('both here', () => host.state.people.length === 3);
    const idOf = (viewer: Viewer): number => viewer.state.value.id;
    for (const viewer of [ann, eve]) host.directOpened(idOf(viewer));
    host.directMessage(idOf(ann), encodeMessage('refresh', { since: 0 }));
    const decoder = new ScreenDecoder();
    const draw = (): void => {
      for (const bytes of direct.sent.splice(0)) {
        const message = decodeMessage(bytes);
        if (message.name === 'update') decoder.apply(message.body);
      }
    };
    const isShown = (): boolean => {
      draw();
      return Buffer.compare(Buffer.from(decoder.pixels.buffer), Buffer.from(desktop.screen.pixels.buffer)) === 0;
    };
    desktop.paint(1, 1, 60, 60, 0xab_cdef);
    await until('shown directly', isShown);
    // Whoever does not acknowledge gets no more than four.
    for (let i = 0; i < 12; i++) {
      desktop.paint(i, i, 3, 3, i + 1);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(direct.sent.length).toBeLessThanOrEqual(4);
    draw();
    host.directMessage(idOf(ann), encodeMessage('ack', { sequence: decoder.sequence }));
    await until('caught up', isShown);
    await until('those of the relay, too', () => shows(eve, desktop));

    const keys = (code: number): Uint8Array<ArrayBuffer> =>
      encodeMessage('keys', { participant: HOST, epoch: 0, scancodes: Uint8Array.of(code) });
    host.directMessage(idOf(eve), keys(0x10));
    host.directMessage(99, keys(0x11));
    host.directMessage(idOf(ann), keys(0x1e));
    expect(desktop.scancodes).toEqual([0x1e]);
    host.directMessage(idOf(ann), Uint8Array.of(255));
    expect(direct.closed).toEqual([idOf(ann)]);
    host.directClosed(idOf(ann));
    expect(desktop.scancodes).toEqual([0x1e, 0x9e]);
  });
});
