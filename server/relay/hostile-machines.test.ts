/**
 * A relay among machines that want its harm: random and mutated messages and frames, forged tokens and addresses, floods,
 * clients that do not read. Two honest machines on a network of their own are the judges.
 *
 * FUZZ_SECONDS sets how long (`npm run fuzz:net`: ten minutes), FUZZ_SEED makes the same choices again.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { decodeRelay, encodeAttach, encodeCredit, encodeFrames, encodePeer } from '../../src/net-relay/wire/relay.ts';
import { expectFlat, growthText, repeat, until } from '../heap-growth.suite.ts';
import { type RunningServer, startServer } from '../http/serve.ts';
import { Networks } from '../net/networks.ts';
import { JoinTokens } from './join-tokens.ts';
import { NetService } from './net-service.ts';
import { Relay } from './relay.ts';

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 3);
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 0x7fff_ffff);
const LEAST_VISITS = 80;
/** What waits for its card has to be over before anything is counted. */
const PARKED_MS = 500;
const ETHERTYPE_OF_OURS = 0x88b5;

let state = SEED | 1;
/** xorshift32. Source: Marsaglia, "Xorshift RNGs", 2003. @returns 0 to below */
function random(below: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}
const pick = <T>(of: readonly T[]): T => of[random(of.length)];
const noise = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, () => random(256)));

const tokens = new JoinTokens(new Uint8Array(32).fill(7));
const strangers = new JoinTokens(new Uint8Array(32).fill(8));
const HONEST = { intnet: ['lab'] };
/** Somebody on the judges' network, and somebody who may not be there; no NAT here reaches anything. */
const NEIGHBOR = { nat: { public: false }, intnet: ['lab'], cards: 8 };
const OUTSIDER = { nat: { public: false }, intnet: ['zoo'], cards: 8 };
const folder = mkdtempSync(join(tmpdir(), 'tabbox-hostile-'));
const sockets = new Set<WebSocket>();
const service = new NetService(new Networks(), PARKED_MS);
let server: RunningServer;
/** A token whose time is over. */
let late = '';

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const issue = (subject: string, rights: unknown, by = tokens): Promise<string> =>
  by.issue({ subject, rights: { net: rights }, lifeSeconds: 3600 });
const macOf = (n: number): string => `0800270000${n.toString(16).padStart(2, '0').toUpperCase()}`;

function connect(token: string): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/relay/net`, ['tabbox', `token.${token}`]);
  sockets.add(socket);
  socket.on('error', () => {});
  socket.on('close', () => sockets.delete(socket));
  return socket;
}
const isOver = (socket: WebSocket): Promise<number> =>
  new Promise((resolve) => socket.once('close', (code) => resolve(code)));

const card = (slot: number, mac: string, network: string): object => ({
  ...{ slot, type: 'virtio', mac, cableConnected: true },
  attachment: network === 'nat' ? { kind: 'nat', network: '', forwards: [] } : { kind: 'intnet', network },
});

/** @param to, from last byte of an address; 255: everybody */
function frame(to: number, from: number, text: string): Buffer {
  const b = Buffer.alloc(64 + text.length);
  b.set(to === 255 ? [255, 255, 255, 255, 255, 255] : [8, 0, 0x27, 0, 0, to]);
  b.set([8, 0, 0x27, 0, 0, from], 6);
  b.writeUInt16BE(ETHERTYPE_OF_OURS, 12);
  b.write(text, 14);
  return b;
}

class Judge {
  readonly socket: WebSocket;
  readonly got: { readonly from: number; readonly text: string }[] = [];
  readonly #n: number;
  #owed = 0;

  constructor(token: string, n: number) {
    this.#n = n;
    this.socket = connect(token);
    this.socket.on('open', () => this.socket.send(encodeAttach(json({ card: card(1, macOf(n), 'lab') }))));
    this.socket.on('message', (data: Buffer) => this.#take(data));
  }

  #take(data: Buffer): void {
    const message = decodeRelay(data, (bytes) => Buffer.from(bytes).toString());
    if (message?.kind !== 'frames') return;
    for (const one of message.frames) {
      const b = Buffer.from(one);
      if (b.readUInt16BE(12) !== ETHERTYPE_OF_OURS) continue;
      this.got.push({ from: b[11], text: b.toString('latin1', 14).replace(/\0.*$/s, '') });
    }
    this.#owed += message.cost;
    if (this.#owed < 16_384) return;
    this.socket.send(encodeCredit(this.#owed));
    this.#owed = 0;
  }

  say(to: number, text: string): void {
    this.socket.send(encodeFrames([frame(to, this.#n, text)]));
  }
}

/** Well-formed beginnings, to be spoiled: ARP, DHCP, a SYN, IPv6, a fragment. */
const SEEDS: readonly Buffer[] = [
  'ffffffffffff080027000020080600010800060400010800270000200a00020f0000000000000a000202',
  `ffffffffffff08002700002008004500012c000000004011000000000000ffffffff00440043011800000101060012345678${'00'.repeat(200)}6382536335010132040a00020fff`,
  '52540012350008002700002008004500002800004000400600000a00020f0a0002029c40005000000064000000005002fffff0000000',
  '33330000000208002700002086dd6000000000083afffe80000000000000000000000000000aff0200000000000000000000000000028500000000000000',
  `52540012350008002700002008004500002c00012000401100000a00020f0a0002020001000200180000${'00'.repeat(16)}`,
].map((text) => Buffer.from(text, 'hex'));

function spoiled(seed: Buffer): Buffer {
  const b = Buffer.from(seed);
  for (let n = random(8); n > 0; n--) b[random(b.length)] = random(256);
  const cut = random(4) === 0 ? b.subarray(0, 14 + random(b.length)) : b;
  const all = random(8) === 0 ? Buffer.concat([cut, noise(random(2000))]) : cut;
  // Nobody is to be asked for names.
  if (all.length > 37 && all.readUInt16BE(36) === 53) all.writeUInt16BE(54, 36);
  return all;
}

/** A message that may come at any time, right or wrong. */
function message(from: number): Uint8Array {
  switch (random(10)) {
    case 0:
      return noise(1 + random(300));
    case 1:
      return encodeCredit(random(2) === 0 ? random(0xffff_ffff) : 1);
    case 2:
      return encodePeer(
        json(pick([{ kind: 'direct', peer: random(9), on: true }, { kind: 'signal', peer: random(9), data: 'x' }, 7])),
      );
    case 3:
      return Buffer.concat([Uint8Array.of(1), noise(2 + random(60))]);
    case 4:
      return encodeFrames([Buffer.alloc(pick([16_384, 15_000, 14]), 0xff)]);
    case 5:
      return Buffer.concat([encodeFrames([frame(255, from, 'x')]).subarray(0, 3 + random(40))]);
    default:
      return encodeFrames(
        Array.from({ length: 1 + random(10) }, () => (random(3) === 0 ? forged(from) : spoiled(pick(SEEDS)))),
      );
  }
}

/** From somebody else, or to the judges, or both. */
const forged = (from: number): Buffer =>
  frame(pick([1, 2, 255, random(256)]), pick([1, 2, from, random(256)]), 'forged');

const opened = (socket: WebSocket): Promise<boolean> =>
  Promise.race([
    new Promise<boolean>((resolve) => socket.once('open', () => resolve(true))),
    isOver(socket).then(() => false),
  ]);

/** One visit; `n` is the last byte of its address. */
async function visit(n: number, rights: typeof NEIGHBOR | typeof OUTSIDER): Promise<void> {
  const socket = connect(await issue(`visitor ${n}`, rights));
  if (!(await opened(socket))) return;
  const over = isOver(socket);
  const isDeaf = random(20) === 0;
  if (isDeaf) socket.pause();
  const network = pick(['nat', 'nat', ...rights.intnet, 'lab']);
  socket.send(
    random(12) === 0
      ? encodeAttach(noise(random(200)))
      : encodeAttach(json({ card: card(1 + random(9), macOf(n), network), direct: true })),
  );
  for (let round = random(12); round > 0 && socket.readyState === WebSocket.OPEN; round--) {
    for (let k = random(6); k > 0; k--) socket.send(message(n));
    await new Promise((resolve) => setImmediate(resolve));
  }
  // Many half-open connections through its NAT.
  if (random(4) === 0) {
    const syn = Buffer.from(SEEDS[2]);
    for (let k = 0; k < 200 && socket.readyState === WebSocket.OPEN; k++) {
      syn.writeUInt16BE(random(65_536), 34);
      socket.send(encodeFrames([syn]));
    }
  }
  // One that does not read would not see the end either.
  if (isDeaf) socket.resume();
  if (isDeaf || random(2) === 0) socket.terminate();
  else socket.close();
  await over;
}

async function knock(): Promise<void> {
  const good = await issue('nobody', OUTSIDER);
  const [head, body, signature] = good.split('.');
  const none = Buffer.from('{"alg":"none"}').toString('base64url');
  const bad = pick([
    ...[
      await issue('nobody', NEIGHBOR, strangers),
      `${head}.${body}.`,
      `${none}.${body}.`,
      `${head}.${body}.${signature.slice(0, -4)}AAAA`,
    ],
    ...['', noise(20).toString('base64url'), 'x'.repeat(9000)],
    late,
  ]);
  const socket = connect(bad);
  let heard = 0;
  socket.on('message', () => heard++);
  socket.on('open', () => socket.send(encodeAttach(json({ card: card(1, macOf(9), 'lab') }))));
  await isOver(socket);
  expect(heard, `seed ${SEED}: a token that is none was answered`).toBe(0);
}

beforeAll(async () => {
  late = await tokens.issue({ subject: 'late', rights: { net: NEIGHBOR }, lifeSeconds: 1 });
  const extension = new Relay({ tokens, services: [service], ownPageTokens: false });
  const directories = { pageDirectory: folder, guestsDirectory: folder };
  server = await startServer({ ...directories, host: '127.0.0.1', ports: [0], extension });
});
afterAll(async () => {
  for (const socket of sockets) socket.terminate();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const metricNow = (name: string): number =>
  service
    .metrics()
    .filter((family) => family.name === name)
    .flatMap(({ samples }) => samples)
    .reduce((sum, { value }) => sum + value, 0);
const cardsNow = (): number => metricNow('tabbox_net_cards');

it(`does no harm: ${SECONDS} s of hostile machines, seed ${SEED}`, { timeout: SECONDS * 1000 + 120_000 }, async () => {
  const isExpired = (): Promise<boolean> =>
    tokens.verify(late).then(
      () => false,
      () => true,
    );
  await expect.poll(isExpired, { timeout: 10_000 }).toBe(true);
  const [first, second] = [new Judge(await issue('first', HONEST), 1), new Judge(await issue('second', HONEST), 2)];
  await expect.poll(cardsNow).toBe(2);
  const listener = new Judge(await issue('listener', HONEST), 3);
  await expect.poll(cardsNow).toBe(3);
  first.say(255, 'here I am');
  second.say(255, 'here I am');
  await expect.poll(() => first.got.length + second.got.length + listener.got.length).toBe(4);

  const why = `seed ${SEED}`;
  let [visits, secrets] = [0, 0];
  const round = async (): Promise<number> => {
    const guests = Array.from({ length: 4 }, (_, k) => visit(16 + ((visits + k) % 200), pick([NEIGHBOR, OUTSIDER])));
    // A switch forgets who is silent for five minutes, and then everybody hears what is for him.
    second.say(1, 'still here');
    first.say(2, `secret ${secrets++}`);
    await Promise.all([...guests, knock()]);
    visits += guests.length;
    return guests.length;
  };
  const isSecret = ({ text }: { readonly text: string }): boolean => text.startsWith('secret');
  const settle = async (): Promise<void> => {
    await until('all secrets are there', () => second.got.filter(isSecret).length === secrets);
    // To one machine and no other: those who listened got none of it.
    expect(listener.got.filter(isSecret), why).toEqual([]);
    // A frame says who sent it: the judges' addresses were never anybody else's.
    for (const judge of [first, second, listener]) {
      const forgeries = judge.got.filter(({ from, text }) => text === 'forged' && from < 16);
      expect(forgeries, why).toEqual([]);
      judge.got.length = 0;
    }
    secrets = 0;
    await until('only judges have cards', () => cardsNow() === 3);
    await until('nobody is waited for', () => metricNow('tabbox_net_parked') === 0);
    await until('sockets are closed', () => readdirSync('/proc/self/fd').length < 120);
  };
  const marks = await repeat({ seconds: SECONDS, leastRounds: LEAST_VISITS, round, settle });
  if (process.env['FUZZ_SECONDS']) console.log(`visits: ${growthText(marks)}`);
  expectFlat(marks, why);
});
