import { describe, expect, it } from 'vitest';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import type { ClientSession } from './client-session.ts';
import { encodeChannelChunks } from './pdu/channel.ts';
import { ENCRYPTION_METHOD } from './pdu/gcc.ts';
import { PROTOCOL } from './pdu/x224.ts';
import { connect, pair, turn } from './session-pair.suite.ts';
import type { WireClient } from './wire-client.suite.ts';

/** Bitmap updates in what the client has received. */
const isFastBitmap = ({ kind, packet }: { kind: string; packet: Uint8Array }): boolean =>
  kind === 'fast-path' && packet.length > 3;

/** [MS-RDPBCGR] 2.2.3.1: Deactivate All comes next. */
function expectDeactivation(client: WireClient): void {
  const deactivate = client.readData();
  deactivate.skip(2);
  expect(deactivate.u16() & 15).toBe(6);
}

/** The client answers a Demand Active, and is shown the picture. */
async function activatesAnew(client: WireClient, session: ClientSession): Promise<void> {
  client.received.unshift({ kind: 'tpkt', packet: new Uint8Array(20) });
  client.confirmActive();
  client.finalize();
  await turn();
  expect(session.connection.isActive).toBe(true);
  expect(client.received.some(isFastBitmap)).toBe(true);
}

describe('a session', () => {
  it.each([
    ['without negotiation, 128 bits', {}],
    ['128 bits, salted', { protocols: 0, salted: true }],
    ['56 bits', { protocols: 0, encryptionMethods: ENCRYPTION_METHOD.bits56 }],
    ['40 bits', { protocols: 0, encryptionMethods: ENCRYPTION_METHOD.bits40 }],
  ])('is reached by a client with standard security, %s', async (_, options) => {
    const { desktop, client, session, ends } = pair(options);
    await connect(client);
    expect(session.connection.isActive).toBe(true);
    expect(client.received.some(isFastBitmap)).toBe(true);
    while (client.received.length > 0) client.readFastPath();
    client.sendFastKey(0x1e, true);
    expect(desktop.scancodes).toEqual([0x1e]);
    expect(ends).toEqual([]);
  });

  it.each([
    ['a client that can, under TLS', PROTOCOL.ssl, true, true],
    ['no client that does not say so', PROTOCOL.ssl, false, false],
    ['none with standard security', PROTOCOL.rdp, true, false],
  ])('measures the network with %s', async (_, protocols, measures, isMeasured) => {
    const { desktop, client, session } = pair({ protocols, measures, channels: ['cliprdr'] });
    client.selectedProtocol = protocols;
    await connect(client);
    expect(session.connection.isActive).toBe(true);
    expect(client.messageChannel !== undefined).toBe(isMeasured);
    if (client.messageChannel === undefined) return;
    expect(client.channelIds).not.toContain(client.messageChannel);
    const tail = Uint8Array.of(0x00, 0x10, 0, 0, 6, 0, 1, 0, 1, 0);
    const isRequest = ({ packet }: { packet: Uint8Array }): boolean =>
      Buffer.from(packet.subarray(-tail.length)).equals(tail);
    expect(client.received.filter(isRequest)).toHaveLength(1);
    client.sendData(client.messageChannel, Uint8Array.of(6, 1, 1, 0, 0, 0), 0x2000);
    client.sendFastKey(0x1e, true);
    expect(desktop.scancodes).toEqual([0x1e]);
    // What is no answer, and is too short, ends the session as anywhere else.
    client.sendData(client.messageChannel, Uint8Array.of(6), 0x2000);
    expect(session.connection.isActive).toBe(false);
  });

  it('sends no picture to a client while others are on their way, and does not wait for one that no longer answers', async () => {
    const waits: { readonly ms: number; readonly what: () => void }[] = [];
    const later = (ms: number, what: () => void): (() => void) => {
      const wait = { ms, what };
      waits.push(wait);
      return () => waits.splice(waits.indexOf(wait), 1);
    };
    const { desktop, client } = pair({ protocols: PROTOCOL.ssl, measures: true }, { later });
    client.selectedProtocol = PROTOCOL.ssl;
    await connect(client);
    let seed = 1;
    /** @returns whether it was sent */
    const isShown = async (): Promise<boolean> => {
      client.received.length = 0;
      seed++;
      desktop.paint(0, 0, 200, 100, (x, y) => Math.imul((x + 7) * (y + 3), Math.imul(seed, 0x9e3779b1)) >>> 8);
      await turn();
      return client.received.some(isFastBitmap);
    };
    // It has not yet said that it measures.
    for (let i = 0; i < 3; i++) expect(await isShown()).toBe(true);
    const answer = (sequence: number): void =>
      client.sendData(client.messageChannel ?? 0, Uint8Array.of(6, 1, sequence, 0, 0, 0), 0x2000);
    answer(1);
    let shown = 0;
    while (shown < 10 && (await isShown())) shown++;
    expect(shown).toBeGreaterThan(0);
    expect(shown).toBeLessThan(4);
    // What has arrived makes room, and the newest is shown.
    for (let sequence = 1; sequence < 20; sequence++) answer(sequence);
    await turn();
    expect(client.received.some(isFastBitmap)).toBe(true);
    while (await isShown());
    const late = waits.filter(({ ms }) => ms === 10_000);
    expect(late).toHaveLength(1);
    late[0].what();
    await turn();
    expect(client.received.some(isFastBitmap)).toBe(true);
    for (let i = 0; i < 5; i++) expect(await isShown()).toBe(true);
  });

  it('keeps step through more than two renewals of the keys, both ways', async () => {
    const { desktop, client, session } = pair({ protocols: 0, salted: true });
    await connect(client);
    const packets = 10_000;
    let seen = 0;
    for (let i = 0; i < packets; i++) {
      client.sendFastKey(0x1e, i % 2 === 0);
      desktop.paint(i % 200, 0, 1, 1, i);
      await undefined;
      if (i % 50 === 0) await turn();
      while (client.received.length > 0) {
        client.readFastPath();
        seen++;
      }
    }
    expect(desktop.scancodes).toHaveLength(packets);
    expect(seen).toBeGreaterThan(5000);
    expect(session.connection.isActive).toBe(true);
  });

  it('ends when a packet is not what its MAC says', async () => {
    const { client, session, ends } = pair({ protocols: 0 });
    await connect(client);
    const events = Uint8Array.of(0, 0x1e);
    session.receive(Uint8Array.of((1 << 2) | (2 << 6), 12, 1, 2, 3, 4, 5, 6, 7, 8, ...events));
    expect(ends).toEqual(['a packet has a wrong MAC']);
  });

  it('does not take plain input from a client that has keys', async () => {
    const { desktop, client, session, ends } = pair({ protocols: 0 });
    await connect(client);
    session.receive(Uint8Array.of(1 << 2, 4, 0, 0x1e));
    expect(desktop.scancodes).toEqual([]);
    expect(ends).toHaveLength(1);
  });

  it('begins TLS where that was chosen, and needs no keys then', async () => {
    const { desktop, client, session, tlsStarts } = pair({ protocols: PROTOCOL.ssl });
    client.selectedProtocol = PROTOCOL.ssl;
    await connect(client);
    expect(tlsStarts()).toBe(1);
    expect(session.connection.isActive).toBe(true);
    client.sendFastKey(0x1e, true);
    expect(desktop.scancodes).toEqual([0x1e]);
  });

  it('ends when somebody has changed the negotiation on its way', async () => {
    const { client, ends } = pair({ protocols: PROTOCOL.ssl | PROTOCOL.hybrid });
    client.selectedProtocol = PROTOCOL.hybrid;
    client.sendConnectionRequest();
    client.sendConnectInitial();
    expect(ends).toEqual(['client and server understood different security protocols']);
  });

  it.each([
    [{ domain: 'DOMAIN@3' }, 2],
    [{ user: 'wire@2' }, 1],
    [{ user: 'wire@0' }, 0],
  ])('shows the monitor that is asked for, with %j', async (options, shown) => {
    const monitors = [200, 120, 90].map((width) => new PaintedDesktop(width, 60));
    const [desktop] = monitors;
    desktop.monitors = monitors;
    const { client, session } = pair({ protocols: 0, ...options }, { desktop });
    await connect(client);
    expect(session.connection.isActive).toBe(true);
    expect(monitors.map(({ viewCount }) => viewCount)).toEqual([0, 1, 2].map((n) => (n === shown ? 1 : 0)));
  });

  it('shows all monitors to a client that has several, unless it asks for one', async () => {
    const monitors = [100, 100].map((width) => new PaintedDesktop(width, 100));
    const [desktop] = monitors;
    const together = new PaintedDesktop(200, 100);
    together.places = () => [0, 100].map((x) => ({ x, y: 0, width: 100, height: 100 }));
    Object.assign(desktop, { monitors, together });
    const views = (): number[] => [...monitors, together].map(({ viewCount }) => viewCount);
    const { client } = pair({ protocols: 0, monitors: 2 }, { desktop });
    await connect(client);
    expect(views()).toEqual([0, 0, 1]);
    expect(client.monitorLayout).toEqual([2, 0, 0, 99, 99, 1, 100, 0, 199, 99, 0]);
    const one = pair({ protocols: 0, monitors: 2, user: 'wire@2' }, { desktop }).client;
    await connect(one);
    expect([views(), one.monitorLayout]).toEqual([[0, 1, 1], undefined]);
    const single = pair({ protocols: 0 }, { desktop }).client;
    await connect(single);
    expect([views(), single.monitorLayout]).toEqual([[1, 1, 1], undefined]);
  });

  it('asks all monitors for the sizes that a client with several would like', async () => {
    const monitors = [100, 100].map((width) => new PaintedDesktop(width, 100));
    const [desktop] = monitors;
    const together = new PaintedDesktop(200, 100);
    together.places = () => [0, 100].map((x) => ({ x, y: 0, width: 100, height: 100 }));
    Object.assign(desktop, { monitors, together });
    const asked: number[][] = [];
    monitors.forEach((one, i) => {
      one.requestSize = (...size) => asked.push([i, ...size]);
    });
    const options = { protocols: PROTOCOL.ssl, monitors: 2, hasPipeline: true, channels: ['drdynvc'] };
    const { client } = pair(options, { desktop });
    client.selectedProtocol = PROTOCOL.ssl;
    await connect(client);
    const say = (...bytes: number[]): void => {
      for (const chunk of encodeChannelChunks(Uint8Array.from(bytes))) client.sendData(client.channelIds[0], chunk);
    };
    const received = (): Buffer => Buffer.concat(client.received.map(({ packet }) => packet));
    say(0x50, 0, 1, 0);
    const all = received();
    const idOf = (name: string): number => all[all.indexOf(name) - 1];
    const display = idOf('Microsoft::Windows::RDS::Display');
    say(0x10, display, 0, 0, 0, 0);
    // Two of 40 bytes: 640 x 480 and the primary one, 800 x 600.
    const wish = [
      [0, 640, 480],
      [1, 800, 600],
    ].flatMap(([flags, width, height]) => [flags, 0, 0, width, height, 0, 0, 0, 0, 0]);
    say(0x30, display, ...new Uint8Array(Uint32Array.from([2, 96, 40, 2, ...wish]).buffer));
    expect(asked).toEqual([
      [0, 800, 600],
      [1, 640, 480],
    ]);
  });

  it('shows the guest’s pointer, again after each activation', async () => {
    const { desktop, client } = pair({ protocols: PROTOCOL.ssl });
    client.selectedProtocol = PROTOCOL.ssl;
    const pointersIn = (): number[] =>
      client.received
        .flatMap(({ kind, packet }) => (kind === 'fast-path' ? [packet[3]] : []))
        .filter((code) => code >= 5);
    const shape = { visible: false, hotX: 0, hotY: 0, width: 1, height: 1, pixels: new Uint32Array(1) };
    desktop.pointer = shape;
    await connect(client);
    expect(pointersIn()).toEqual([5]);
    client.received.length = 0;
    desktop.point({ ...shape, visible: true, width: 0, height: 0 });
    expect(pointersIn()).toEqual([6]);
  });

  it('ends when the monitor that is asked for is not there', async () => {
    const desktop = new PaintedDesktop(200, 100);
    desktop.monitors = [desktop, new PaintedDesktop(64, 64)];
    const { client, ends } = pair({ protocols: 0, user: 'wire@3' }, { desktop });
    for (const step of client.steps().slice(0, -2)) {
      step();
      await turn();
    }
    expect(ends).toEqual(['there is no screen 3']);
  });

  it('shows nothing and takes nothing before the logon is accepted', async () => {
    const { desktop, client, session, ends } = pair(
      { protocols: 0 },
      { authenticate: async () => ({ errorInfo: 9, why: 'no' }) },
    );
    for (const step of client.steps().slice(0, -2)) {
      step();
      await turn();
    }
    expect(ends).toEqual(['no']);
    client.sendFastKey(0x1e, true);
    expect(desktop.viewCount).toBe(0);
    expect(desktop.scancodes).toEqual([]);
    expect(session.connection.isActive).toBe(false);
  });

  it('sends nothing while the screen is still, while output is suppressed, or when the client has no room', async () => {
    let room = true;
    const made: ReturnType<typeof pair> = pair(
      { protocols: PROTOCOL.ssl },
      {
        send: (bytes) => {
          made.client.take(bytes);
          return room;
        },
      },
    );
    const { desktop, client, session } = made;
    client.selectedProtocol = PROTOCOL.ssl;
    await connect(client);
    client.received.length = 0;
    for (let i = 0; i < 10; i++) await turn();
    expect(client.received).toEqual([]);
    client.sendShareData(0x23, Uint8Array.of(0, 0, 0, 0));
    desktop.paint(0, 0, 10, 10, 0xffffff);
    await turn();
    expect(client.received).toEqual([]);
    client.sendShareData(0x23, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 200, 0, 100, 0));
    await turn();
    expect(client.received).toHaveLength(1);
    room = false;
    desktop.paint(0, 0, 10, 10, 0xff0000);
    await turn();
    desktop.paint(0, 0, 10, 10, 0x00ff00);
    await turn();
    desktop.paint(0, 0, 10, 10, 0x0000ff);
    await turn();
    expect(client.received).toHaveLength(2);
    session.onDrain();
    await turn();
    expect(client.received).toHaveLength(3);
  });

  it('activates anew when the size of the screen changes', async () => {
    const { desktop, client, session } = pair({ protocols: PROTOCOL.ssl });
    client.selectedProtocol = PROTOCOL.ssl;
    await connect(client);
    client.received.length = 0;
    desktop.resize(320, 200);
    await turn();
    expectDeactivation(client);
    await activatesAnew(client, session);
  });

  it.each([
    ['less than the screen has, which it learns as a change', [200, 300], [200, 300]],
    ['more', [800, 600], [320, 240]],
    ['nothing that makes sense', [0, 65535], [320, 240]],
  ] as const)('begins with a client that asks for %s', async (_, size, first) => {
    const desktop = new PaintedDesktop(320, 240);
    const { client, session } = pair({ protocols: PROTOCOL.ssl, size }, { desktop });
    client.selectedProtocol = PROTOCOL.ssl;
    await connect(client);
    expect(client.demanded).toEqual(first);
    if (first[0] !== 320) {
      expectDeactivation(client);
      expect(client.received.some(isFastBitmap)).toBe(false);
      await activatesAnew(client, session);
    }
    expect(client.demanded).toEqual([320, 240]);
    expect(client.received.some(isFastBitmap)).toBe(true);
  });

  it('activates anew when the client has asked for another size, and its channels go on meanwhile', async () => {
    const { desktop, client, session } = pair({ protocols: PROTOCOL.ssl, channels: ['drdynvc', 'cliprdr'] });
    desktop.requestSize = (width, height) => desktop.resize(width, height);
    client.selectedProtocol = PROTOCOL.ssl;
    await connect(client);
    const send = (channel: number, ...message: number[]): void =>
      client.sendData(client.channelIds[channel], Uint8Array.of(message.length, 0, 0, 0, 3, 0, 0, 0, ...message));
    // [MS-RDPEDYC]: version 1; there is a channel 1. [MS-RDPEDISP] 2.2.2.2: one primary monitor of 320x200.
    send(0, 0x50, 0, 1, 0);
    send(0, 0x10, 1, 0, 0, 0, 0);
    const monitor = [1, 0, 0, 0, ...new Array(8).fill(0), 0x40, 1, 0, 0, 200, 0, 0, 0, ...new Array(20).fill(0)];
    client.received.length = 0;
    send(0, 0x30, 1, 2, 0, 0, 0, 56, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, ...monitor);
    await turn();
    expect([desktop.screen.width, desktop.screen.height]).toEqual([320, 200]);
    expectDeactivation(client);
    // [MS-RDPECLIP] 2.2.3.1: an empty list of formats, which is answered.
    const before = client.received.length;
    send(1, 2, 0, 0, 0, 0, 0, 0, 0);
    expect(client.received).toHaveLength(before + 1);
    client.received.length = before;
    await activatesAnew(client, session);
  });

  it('brings the lock keys to where the client has them, once for each', async () => {
    const { desktop, client } = pair({ protocols: PROTOCOL.ssl });
    client.selectedProtocol = PROTOCOL.ssl;
    await connect(client);
    const synchronize = (toggles: number): void =>
      client.sendShareData(0x1c, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, toggles, 0, 0, 0));
    synchronize(7);
    expect(desktop.scancodes).toEqual([]);
    desktop.leds = 2;
    synchronize(4);
    expect(desktop.scancodes).toEqual([0x45, 0xc5, 0x3a, 0xba]);
    // The guest is not there yet.
    synchronize(4);
    expect(desktop.scancodes).toHaveLength(4);
    desktop.leds = 4;
    synchronize(4);
    expect(desktop.scancodes).toHaveLength(4);
    synchronize(0);
    expect(desktop.scancodes.slice(4)).toEqual([0x3a, 0xba]);
  });

  it('lets go of all keys when the client is gone', async () => {
    const { desktop, client, session } = pair({ protocols: PROTOCOL.ssl });
    client.selectedProtocol = PROTOCOL.ssl;
    await connect(client);
    client.sendFastKey(0x1d, true);
    session.lost();
    expect(desktop.scancodes).toEqual([0x1d, 0x9d]);
    expect(desktop.viewCount).toBe(0);
  });
});
