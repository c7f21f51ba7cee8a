import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import {
  ANY_NUMBER_OF_USES,
  type BodyOf,
  decodeMessage,
  encodeMessage,
  HOST,
  type Message,
  type MessageName,
  type Role,
  STREAM_VERSION,
} from '#display/stream/messages.ts';
import { ScreenDecoder } from '#display/stream/screen-decoder.ts';
import { ScreenEncoder } from '#display/stream/screen-encoder.ts';
import { JoinTokens } from '../relay/join-tokens.ts';
import { Relay } from '../relay/relay.ts';
import { SessionService } from './session-service.ts';

const tokens = new JoinTokens(new Uint8Array(32).fill(7));
const version = STREAM_VERSION;
let server: Server;
let relay: Relay;
let url = '';

beforeAll(async () => {
  relay = new Relay({ tokens, services: [new SessionService(tokens)], ownPageTokens: false });
  server = createServer();
  server.on('upgrade', (request, socket, head) => relay.upgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/relay/session`;
});

afterAll(async () => {
  await relay.close();
  server.closeAllConnections();
  server.close();
});

/** One end of a connection: what it got, and waiting for more. */
class Peer {
  readonly socket: WebSocket;
  readonly got: Message[] = [];
  closed: { code: number; reason: string } | undefined;
  #waiting: (() => void)[] = [];

  constructor(token: string) {
    this.socket = new WebSocket(url, ['tabbox', `token.${token}`]);
    this.socket.binaryType = 'nodebuffer';
    this.socket.on('message', (data: Buffer) => {
      this.got.push(decodeMessage(data));
      this.#wake();
    });
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.#wake();
    });
    this.socket.on('error', () => {});
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async open(): Promise<this> {
    if (this.socket.readyState === WebSocket.CONNECTING) {
      await new Promise((resolve) => this.socket.once('open', resolve));
    }
    return this;
  }

  send<N extends MessageName>(name: N, body: BodyOf<N>): void {
    this.socket.send(encodeMessage(name, body));
  }

  /** Waits for a message that has not been asked for yet. */
  async next<N extends MessageName>(name: N, test: (body: BodyOf<N>) => boolean = () => true): Promise<BodyOf<N>> {
    for (;;) {
      const at = this.got.findIndex((one) => one.name === name && test(one.body as BodyOf<N>));
      if (at >= 0) return this.got.splice(at, 1)[0].body as BodyOf<N>;
      if (this.closed) throw new Error(`closed (${this.closed.code} ${this.closed.reason}) before ${name}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async end(): Promise<{ code: number; reason: string }> {
    while (!this.closed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.closed;
  }
}

async function share(key = ''): Promise<{ host: Peer; key: string }> {
  const token = await tokens.issue({ subject: 'test', rights: { session: { host: true } }, lifeSeconds: 60 });
  const host = await new Peer(token).open();
  host.send('host', { version, machine: 'Debian', name: 'Teacher', key });
  return { host, key: (await host.next('welcome')).key };
}

let links = 0;
async function linkOf(host: Peer, role: Role, more: { lifetime?: number; uses?: number } = {}) {
  const label = `link ${++links}`;
  host.send('makeLink', { label, role, lifetime: 0, uses: ANY_NUMBER_OF_USES, ...more });
  const { links: all } = await host.next('links', (body) => body.links.some((one) => one.label === label));
  return all.find((one) => one.label === label) as (typeof all)[number];
}

async function join(token: string, name: string, key = ''): Promise<{ viewer: Peer; welcome: BodyOf<'welcome'> }> {
  const viewer = await new Peer(token).open();
  viewer.send('join', { version, name, key, since: 0 });
  return { viewer, welcome: await viewer.next('welcome') };
}

const screen = { width: 256, height: 128, fourByThree: false, pixels: new Uint32Array(256 * 128).fill(0xff00_0000) };

describe('a session', () => {
  it('tells everybody who is here, and what a link says', async () => {
    const { host } = await share();
    const link = await linkOf(host, 'control');
    const { viewer, welcome } = await join(link.token, '  Ann\u202e\n B ');
    expect(welcome).toMatchObject({ role: 'control', machine: 'Debian', participant: 1 });
    const { people } = await viewer.next('roster', (body) => body.people.length === 2);
    expect(people).toEqual([
      { id: HOST, name: 'Teacher', role: 'owner', link: '' },
      { id: 1, name: 'Ann B', role: 'control', link: '' },
    ]);
    const told = await host.next('roster', (body) => body.people.length === 2);
    expect(told.people[1].link).toBe(link.id);
    const second = await join(link.token, 'Ann B');
    expect((await second.viewer.next('roster')).people[2].name).toBe('Ann B (2)');
    viewer.socket.terminate();
    await host.next('roster', (body) => body.people.length === 2 && body.people[1].id === 2);
    host.send('end', {});
    expect((await second.viewer.end()).reason).toMatch(/^ended/);
  });

  it('gives a picture at once, from what is kept and from the host', async () => {
    const { host } = await share();
    const { token } = await linkOf(host, 'view');
    const encoder = new ScreenEncoder();
    encoder.absorb(screen, []);
    const first = await join(token, 'First');
    expect(await host.next('refresh')).toEqual({ since: 0 });
    host.send('update', encoder.updateSince(0));
    screen.pixels[5] = 0xff00_00ff;
    encoder.absorb(screen, [{ x: 5, y: 0, width: 1, height: 1 }]);
    host.send('update', encoder.updateSince(1));
    expect(await host.next('ack', ({ sequence }) => sequence === 2)).toBeTruthy();
    const late = await join(token, 'Late');
    for (const { viewer } of [first, late]) {
      const decoder = new ScreenDecoder();
      decoder.apply(await viewer.next('update'));
      decoder.apply(await viewer.next('update'));
      expect(decoder.pixels).toEqual(screen.pixels);
    }
    host.send('end', {});
  });

  it('skips updates for a slow viewer, then sends one for all of them, and others get each', async () => {
    const { host } = await share();
    const { token } = await linkOf(host, 'view');
    const [slow, quick] = [(await join(token, 'Slow')).viewer, (await join(token, 'Quick')).viewer];
    const encoder = new ScreenEncoder();
    const [behind, current] = [new ScreenDecoder(), new ScreenDecoder()];
    for (let i = 0; i < 20; i++) {
      screen.pixels[i * 70] = 0xff00_0000 + i;
      encoder.absorb(screen, [{ x: 0, y: 0, width: 256, height: 128 }]);
      host.send('update', encoder.updateSince(i === 0 ? 0 : encoder.sequence - 1));
      const update = await quick.next('update');
      current.apply(update);
      quick.send('ack', { sequence: update.sequence });
      await host.next('ack', ({ sequence }) => sequence === encoder.sequence);
    }
    expect(current.pixels).toEqual(screen.pixels);
    for (let i = 0; i < 4; i++) behind.apply(await slow.next('update'));
    expect(slow.got.some(({ name }) => name === 'update')).toBe(false);
    slow.send('ack', { sequence: behind.sequence });
    const { since } = await host.next('refresh', (body) => body.since > 0);
    expect(since).toBe(behind.sequence);
    host.send('update', encoder.updateSince(since));
    behind.apply(await slow.next('update'));
    expect(behind.pixels).toEqual(screen.pixels);
    expect(behind.sequence).toBe(20);
    // Nobody else is sent what they have.
    host.send('pointer', { participant: HOST, x: 1, y: 1, shown: true });
    await quick.next('pointer');
    expect(quick.got.some(({ name }) => name === 'update')).toBe(false);
    host.send('end', {});
  });

  it('lets a host and a viewer come back as who they were', async () => {
    const { host, key } = await share();
    const link = await linkOf(host, 'control', { uses: 1 });
    const { viewer, welcome } = await join(link.token, 'Ann');
    host.socket.terminate();
    await viewer.next('roster', ({ people }) => people.every(({ id }) => id !== HOST));
    const again = await share(key);
    expect(again.key).toBe(key);
    await viewer.next('roster', ({ people }) => people.some(({ id }) => id === HOST));
    viewer.socket.terminate();
    await again.host.next('roster', ({ people }) => people.length === 1);
    const back = await join(link.token, 'Ann', welcome.key);
    expect(back.welcome.participant).toBe(welcome.participant);
    await again.host.next('links', ({ links: all }) => all[0].usesLeft === 0 && all[0].people === 1);
    await expect(join(link.token, 'Bob')).rejects.toThrow(/link-used-up/);
    again.host.send('end', {});
  });
});

describe('peers of before `videoCoders`', () => {
  const older = { h264: true, vp9: true, vp8: false };
  const newer = { ...older, av1: true, jpeg: true };
  const picture = { ...{ x: 0, y: 0, width: 2, height: 2, isKey: true, layer: 0 }, data: new Uint8Array(1) };

  it('that watch are counted, and get no picture that would end them', async () => {
    const { host } = await share();
    host.send('videoCoders', { forms: { ...newer, vp8: true } });
    const link = await linkOf(host, 'view');
    const { viewer: modern } = await join(link.token, 'Modern');
    modern.send('videoCoders', { forms: newer });
    await host.next('videoCoders', ({ forms }) => forms.jpeg && forms.av1 && !forms.vp8);
    const { viewer: old } = await join(link.token, 'Old');
    // Before it has said anything, and afterwards.
    host.send('video', { ...picture, number: 1, form: 'jpeg' });
    expect((await modern.next('video')).form).toBe('jpeg');
    old.send('videoForms', older);
    await host.next('videoCoders', ({ forms }) => forms.h264 && forms.vp9 && !forms.jpeg && !forms.av1);
    host.send('video', { ...picture, number: 2, form: 'jpeg' });
    host.send('videoEnd', {});
    host.send('video', { ...picture, number: 3, form: 'h264' });
    expect((await old.next('video')).number).toBe(3);
    expect(old.got.filter(({ name }) => name === 'video' || name === 'videoCoders')).toEqual([]);
    old.socket.terminate();
    await host.next('videoCoders', ({ forms }) => forms.jpeg);
    host.send('end', {});
  });

  it('that share are told in the way they know', async () => {
    const { host } = await share();
    const link = await linkOf(host, 'view');
    const { viewer } = await join(link.token, 'Ann');
    viewer.send('videoCoders', { forms: newer });
    expect(await host.next('videoForms', ({ h264 }) => h264)).toEqual(older);
    viewer.send('videoCoders', { forms: { ...newer, h264: false, vp9: false } });
    await host.next('videoForms', ({ h264 }) => !h264);
    expect(host.got.some(({ name }) => name === 'videoCoders')).toBe(false);
    host.send('end', {});
  });
});

describe('input', () => {
  it('of viewers with control reaches the host with their number on it, of others never', async () => {
    const { host } = await share();
    const [control, view] = [await linkOf(host, 'control'), await linkOf(host, 'view')];
    const ann = await join(control.token, 'Ann');
    const eve = await join(view.token, 'Eve');
    const scancodes = Uint8Array.of(0x1e, 0x9e);
    for (const participant of [0, ann.welcome.participant, eve.welcome.participant]) {
      eve.viewer.send('keys', { participant, epoch: 0, scancodes });
      eve.viewer.send('mouse', { participant, epoch: 0, dx: 1, dy: 1, dz: 0, buttons: 1, dw: 0 });
      eve.viewer.send('typed', { participant, epoch: 0, text: 'x' });
      eve.viewer.send('leaseAction', { participant, action: 'take', target: participant });
      eve.viewer.send('clipboard', { participant, isFirst: true, isLast: true, text: 'x' });
    }
    eve.viewer.send('pointer', { participant: 0, x: 1, y: 2, shown: true });
    await host.next('pointer', ({ participant }) => participant === eve.welcome.participant);
    ann.viewer.send('keys', { participant: 0, epoch: 3, scancodes });
    const keys = await host.next('keys');
    expect(keys).toEqual({ participant: ann.welcome.participant, epoch: 3, scancodes: Buffer.from(scancodes) });
    expect(
      host.got.filter(({ name }) => ['keys', 'mouse', 'typed', 'leaseAction', 'clipboard'].includes(name)),
    ).toEqual([]);
    host.send('end', {});
  });

  it('without the lease ends at the relay', async () => {
    const { host } = await share();
    const { token } = await linkOf(host, 'control');
    const [ann, bob] = [await join(token, 'Ann'), await join(token, 'Bob')];
    host.send('lease', { mode: 'lease', holder: bob.welcome.participant, epoch: 1, asking: [] });
    await ann.viewer.next('lease', ({ mode }) => mode === 'lease');
    ann.viewer.send('keys', { participant: 0, epoch: 1, scancodes: Uint8Array.of(1) });
    ann.viewer.send('leaseAction', { participant: 0, action: 'request', target: 0 });
    await host.next('leaseAction', ({ participant }) => participant === ann.welcome.participant);
    bob.viewer.send('keys', { participant: 0, epoch: 1, scancodes: Uint8Array.of(2) });
    expect((await host.next('keys')).participant).toBe(bob.welcome.participant);
    expect(host.got.some(({ name }) => name === 'keys')).toBe(false);
    host.send('end', {});
  });
});

describe('links that are no good', () => {
  it('are refused: revoked, expired, of another session, tampered with', async () => {
    const { host } = await share();
    const [revoked, brief] = [await linkOf(host, 'control'), await linkOf(host, 'view', { lifetime: 2 })];
    const { viewer } = await join(revoked.token, 'Ann');
    const { viewer: short } = await join(brief.token, 'Bob');
    host.send('revokeLink', { id: revoked.id });
    expect(await viewer.end()).toMatchObject({ code: 4403, reason: expect.stringMatching(/^link-revoked/) });
    await expect(join(revoked.token, 'Ann')).rejects.toThrow(/4403 link-revoked/);
    expect(await short.end()).toMatchObject({ code: 4403, reason: expect.stringMatching(/^link-expired/) });
    await expect(join(brief.token, 'Bob')).rejects.toThrow(/4401 token-expired|4403 link/);

    const good = await linkOf(host, 'view');
    const [head, payload, signature] = good.token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    claims.rights.session = { host: true };
    const forged = [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
    await expect(join(forged, 'Eve')).rejects.toThrow(/4401/);
    const unsigned = [Buffer.from('{"alg":"none"}').toString('base64url'), payload, ''].join('.');
    await expect(join(unsigned, 'Eve')).rejects.toThrow(/4401/);
    host.send('end', {});
    await host.end();
    await expect(join(good.token, 'Eve')).rejects.toThrow(/4403 ended/);
  });

  it('do not make a host of a viewer', async () => {
    const { host } = await share();
    const { token } = await linkOf(host, 'owner');
    const peer = await new Peer(token).open();
    peer.send('host', { version, machine: 'x', name: 'x', key: '' });
    expect((await peer.end()).code).toBe(4400);
    const { viewer } = await join(token, 'Eve');
    viewer.send('update', new ScreenEncoder().updateSince(0));
    expect((await viewer.end()).reason).toMatch(/does not send update/);
    host.send('end', {});
  });
});

describe('hostile peers', () => {
  it('end themselves and nobody else', async () => {
    const { host } = await share();
    const { token } = await linkOf(host, 'control');
    const { viewer: witness } = await join(token, 'Witness');
    const messages = fc.sample(fc.uint8Array({ maxLength: 60 }), { numRuns: 60, seed: 11 });
    for (const bytes of messages) {
      const { viewer } = await join(token, 'Eve');
      viewer.socket.send(bytes);
      viewer.socket.send(Uint8Array.of(bytes.length % 22, ...bytes));
      viewer.socket.send(Uint8Array.of(250));
      expect((await viewer.end()).code).toBeGreaterThanOrEqual(4400);
    }
    const { viewer: flood } = await join(token, 'Flood');
    for (let i = 0; i < 2000; i++) flood.send('keepAlive', {});
    expect((await flood.end()).reason).toMatch(/^too-fast/);
    host.send('pointer', { participant: HOST, x: 1, y: 1, shown: true });
    await witness.next('pointer', ({ participant }) => participant === HOST);
    host.send('end', {});
  });
});
