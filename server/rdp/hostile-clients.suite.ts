/**
 * Clients that send anything but what they should, at every stage of a connection, beside one that behaves: whatever
 * they do, they end their own connection at worst, and the other one sees and types as before.
 */
import type { CodedForm } from '#display/desktop/desktop.ts';
import { PaintedDesktop, PaintedVideo } from '#display/desktop/painted-desktop.suite.ts';
import { ClientSession } from './client-session.ts';
import { encodeChannelChunks } from './pdu/channel.ts';
import { PROTOCOL } from './pdu/x224.ts';
import type { StandardKey } from './security/proprietary-certificate.ts';
import { WireClient } from './wire-client.suite.ts';

const CHANNELS = ['drdynvc', 'rdpsnd', 'cliprdr'];
const CLIPBOARD = 2;
const GRAPHICS_ID = 1;
const TOUCH_ID = 2;
const [GEOMETRY_ID, VIDEO_CONTROL_ID, VIDEO_DATA_ID] = [3, 4, 5];
/** The one that asks whether the client shows JPEG; the two of a presentation, instead of those that were refused. */
const [TSMF_ID, TSMF_CONTROL_ID, TSMF_STREAM_ID] = [6, GEOMETRY_ID, VIDEO_CONTROL_ID];
const MICROPHONE_ID = 7;
/** Where among a client's channels its answers about the network go: behind all that it has names for. */
const NETWORK = CHANNELS.length;
const u32 = (value: number): number[] => [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
/** Wide enough that it lies over what is painted. */
const VIDEO_AREA = { x: 40, y: 20, width: 120, height: 60 };
const utf16 = (text: string): number[] => [...text].flatMap((one) => [one.charCodeAt(0), 0]);
/** Ctrl, Alt, Shift and V: what was copied is wanted. */
const PASTE_CODES = [0x1d, 0x38, 0x2a, 0x2f];
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const VIDEO_ACCEPTED = [0x30, VIDEO_CONTROL_ID, 12, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0];

/** What clients say in their channels when all is well; each is damaged before it is sent. */
const MESSAGES: readonly (readonly [number, readonly number[]])[] = [
  [0, [0x50, 0, 1, 0]],
  [0, [0x10, GRAPHICS_ID, 0, 0, 0, 0]],
  [0, [0x10, GRAPHICS_ID, 1, 0, 0, 0x80]],
  [0, [0x24, GRAPHICS_ID, 40, 0, 0x12, 0, 0, 0, 22, 0, 0, 0]],
  [0, [0x30, GRAPHICS_ID, 0x12, 0, 0, 0, 22, 0, 0, 0, 1, 0, 4, 0, 8, 0, 4, 0, 0, 0, 0, 0, 0, 0]],
  [0, [0x30, GRAPHICS_ID, 0x0d, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]],
  [0, [0x40, GRAPHICS_ID]],
  [
    1,
    [
      7,
      0,
      38,
      0,
      ...new Array(14).fill(0),
      1,
      0,
      0,
      6,
      0,
      0,
      1,
      0,
      2,
      0,
      0x44,
      0xac,
      0,
      0,
      ...[16, 0xb1, 2, 0, 4, 0, 16, 0, 0, 0],
    ],
  ],
  [1, [5, 0, 4, 0, 0, 0, 1, 0]],
  [2, [1, 0, 0, 0, 0, 0, 0, 0]],
  // Files in the clipboard: the client can, it has some, it names one of ten bytes, it gives five of them.
  [2, [7, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 12, 0, 2, 0, 0, 0, 6, 0, 0, 0]],
  [2, [2, 0, 0, 0, 46, 0, 0, 0, 9, 0, 0, 0, ...utf16('FileGroupDescriptorW\0')]],
  [
    2,
    [5, 0, 1, 0, 84, 2, 0, 0, 1, 0, 0, 0, 0x40, ...new Array(67).fill(0), 10, 0, 0, 0, 0x61, ...new Array(519).fill(0)],
  ],
  [2, [9, 0, 1, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5]],
  // Others' files: which there are, how long one is, a part of it, all there is of what is not there.
  [2, [4, 0, 0, 0, 4, 0, 0, 0, 0xb1, 0xc0, 0, 0]],
  [2, [8, 0, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0, ...u32(0), ...u32(1), ...u32(0), ...u32(0), ...u32(8)]],
  [2, [8, 0, 0, 0, 24, 0, 0, 0, 2, 0, 0, 0, ...u32(0), ...u32(2), ...u32(0), ...u32(0), ...u32(100)]],
  [2, [8, 0, 0, 0, 24, 0, 0, 0, 3, 0, 0, 0, ...u32(9), ...u32(2), ...u32(0), ...u32(1), ...u32(0xffff_ffff)]],
  // Fingers: the channel is open, the client ready, one comes down.
  [0, [0x10, TOUCH_ID, 0, 0, 0, 0]],
  [0, [0x30, TOUCH_ID, 2, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 10, 0]],
  [0, [0x30, TOUCH_ID, 3, 0, 14, 0, 0, 0, 0, 1, 1, 0, 7, 0, 9, 9, 0x19]],
  // Videos: their channels, a presentation that is accepted, one whose pictures are too many, one that lost some.
  [0, [0x10, GEOMETRY_ID, 0, 0, 0, 0]],
  [0, [0x10, VIDEO_CONTROL_ID, 0, 0, 0, 0]],
  [0, [0x10, VIDEO_DATA_ID, 0, 0, 0, 0]],
  [0, VIDEO_ACCEPTED],
  [0, [0x30, VIDEO_CONTROL_ID, 16, 0, 0, 0, 3, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]],
  [
    0,
    [
      ...[0x30, VIDEO_CONTROL_ID, 32, 0, 0, 0, 3, 0, 0, 0, 1, 2, 0, 0, 16, 0, 0, 0],
      ...[2, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ],
  ],
  [0, [0x40, VIDEO_CONTROL_ID]],
  // A microphone: version, a format, which one, sound.
  [0, [0x10, MICROPHONE_ID, 0, 0, 0, 0]],
  [0, [0x30, MICROPHONE_ID, 1, 1, 0, 0, 0]],
  [
    0,
    [
      0x30,
      MICROPHONE_ID,
      2,
      1,
      0,
      0,
      0,
      27,
      0,
      0,
      0,
      1,
      0,
      2,
      0,
      0x44,
      0xac,
      0,
      0,
      0x10,
      0xb1,
      2,
      0,
      4,
      0,
      16,
      0,
      0,
      0,
    ],
  ],
  [0, [0x30, MICROPHONE_ID, 7, 0, 0, 0, 0]],
  [0, [0x30, MICROPHONE_ID, 6, 1, 2, 3, 4, 5, 6, 7, 8]],
  [0, [0x40, MICROPHONE_ID]],
  // The network: a round trip, and what was counted: nothing, in no time, all there is, in all the time there is.
  [NETWORK, [0, 0x20, 0, 0, 6, 1, 1, 0, 0, 0]],
  ...[1, 2, 3, 4].flatMap((sequence) =>
    [0, 1, 100_000, 0xffff_ffff].map((count): readonly [number, readonly number[]] => [
      NETWORK,
      [0, 0x20, 0, 0, 14, 1, sequence, 0, 0x0b, 0, ...u32(0xffff_ffff - count), ...u32(count)],
    ]),
  ),
];

const VIDEO_MESSAGES = MESSAGES.filter(([, message]) => message[1] === VIDEO_CONTROL_ID);

/** TSMF: what a request of this number is answered with, and what was played. */
const answer = (channel: number, message: number, ...values: number[]): number[] => [
  ...[0x30, channel, 0, 0, 0, 0x80, message, 0, 0, 0],
  ...values.flatMap((value) => [value, 0, 0, 0]),
];
const opened = (channel: number): number[][] => [
  [0x10, channel, 0, 0, 0, 0],
  [0x30, channel, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
  answer(channel, 3, 2, 1, 4, 2, 2, 4, 3, 0),
];
/** A client with nothing but that says that it can. */
const TSMF_OPENING = [
  ...[GEOMETRY_ID, VIDEO_CONTROL_ID, VIDEO_DATA_ID].map((id) => [0x10, id, 1, 0, 0, 0x80]),
  ...opened(TSMF_ID),
  answer(TSMF_ID, 4, 1, 2, 0),
];
const TSMF_PRESENTATION = [
  ...opened(TSMF_CONTROL_ID),
  answer(TSMF_CONTROL_ID, 5, 1, 2, 0),
  ...opened(TSMF_STREAM_ID),
  answer(TSMF_CONTROL_ID, 7, 1, 0),
];
const TSMF_MESSAGES: readonly (readonly [number, readonly number[]])[] = [
  ...TSMF_PRESENTATION.map((message) => [0, message] as const),
  [0, [0x30, TSMF_STREAM_ID, 1, 0, 0, 0x40, 4, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, ...new Array(16).fill(0)]],
  [0, [0x40, TSMF_STREAM_ID]],
  [0, [0x40, TSMF_CONTROL_ID]],
];

/** What opens the channels for videos. */
const VIDEO_OPENING = [
  [0x50, 0, 1, 0],
  ...[GEOMETRY_ID, VIDEO_CONTROL_ID, VIDEO_DATA_ID].map((id) => [0x10, id, 0, 0, 0, 0]),
];

/** Numbers that a seed decides. */
export const seeded = (seed: number): ((limit: number) => number) => {
  let state = seed | 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
};

export class HostileClients {
  readonly #random: (limit: number) => number;
  readonly #key: StandardKey;
  readonly #desktop = new PaintedDesktop(200, 100);
  readonly #video = new PaintedVideo();
  #good: { client: WireClient; session: ClientSession; ends: string[] } | undefined;
  #typed = 0;

  constructor(seed: number, key: StandardKey) {
    this.#random = seeded(seed);
    this.#key = key;
    this.#desktop.video = this.#video;
  }

  /** One hostile connection. @throws Error when it did any harm */
  async round(): Promise<void> {
    this.#good ??= await this.#connectGood();
    const random = this.#random;
    const protocols = random(2) === 0 ? 0 : PROTOCOL.ssl;
    const held: Uint8Array[] = [];
    let isHolding = false;
    const made = this.#connection(protocols, (bytes) => {
      if (isHolding) held.push(bytes);
      else made.session.receive(bytes);
    });
    const { client, session, ends } = made;
    const steps = client.steps();
    const stage = random(steps.length + 3);
    for (const step of steps.slice(0, stage)) {
      step();
      await turn();
    }
    const plays = stage < steps.length ? undefined : ([undefined, 'h264', 'jpeg'] as const)[random(3)];
    if (plays === 'h264') this.#openVideo(client);
    if (plays === 'jpeg') this.#openMultimedia(client);
    isHolding = true;
    // A server that is not there yet has nothing to say, which a step may need.
    attempt(() => steps[stage]?.());
    if (stage >= steps.length) this.#useSession(client, plays);
    this.#desktop.paint(random(200), random(100), 1, 1, random(0x1000000));
    for (const packet of held.length > 0 ? held : [Uint8Array.of(3, 0, 0, 8, 2, 0xf0, 0x80, 0)]) {
      session.receive(this.#damaged(packet));
      if (plays) this.#playVideo(plays);
      if (random(3) === 0) await turn();
    }
    if (random(2) === 0) session.receive(this.#junk());
    await turn();
    session.onDrain();
    session.lost();
    if (ends.length !== 1) throw new Error(`a connection ended ${ends.length} times: ${ends.join('; ')}`);
    await this.#checkGood();
  }

  #useSession(client: WireClient, plays: CodedForm | undefined): void {
    const random = this.#random;
    for (let i = random(5); i >= 0; i--) {
      const ofVideo = plays === 'jpeg' ? TSMF_MESSAGES : VIDEO_MESSAGES;
      const messages = plays && random(2) === 0 ? ofVideo : MESSAGES;
      const [channel, message] = messages[random(messages.length)];
      const bytes = random(2) === 0 ? Uint8Array.from(message) : this.#damaged(Uint8Array.from(message));
      this.#say(client, channel, bytes);
      // A picture that is worth measuring.
      if (random(4) === 0) this.#desktop.paint(0, 0, 200, 100, (x, y) => Math.imul(x + 1, y * 0x9e3779b1) >>> 8);
      if (random(4) === 0) for (const tell of this.#desktop.plugged) tell(random(2) === 0);
      if (random(4) === 0) for (const code of PASTE_CODES) client.sendFastKey(code, true);
      if (random(4) === 0) client.sendShareData(random(64), this.#junk());
      if (random(4) === 0) client.sendFastKey(random(256), random(2) === 0);
    }
  }

  #say(client: WireClient, channel: number, message: Uint8Array): void {
    const id = (channel === NETWORK ? client.messageChannel : client.channelIds[channel]) ?? 0;
    if (channel === NETWORK) client.sendData(id, message);
    else for (const chunk of encodeChannelChunks(message)) client.sendData(id, chunk);
  }

  /** All is well until then. */
  #openVideo(client: WireClient): void {
    for (const message of VIDEO_OPENING) this.#say(client, 0, Uint8Array.from(message));
    this.#video.show({ form: 'h264', area: VIDEO_AREA, data: this.#junk(), isKey: true, layer: 0 });
    if (this.#random(2) === 0) this.#say(client, 0, Uint8Array.from(VIDEO_ACCEPTED));
  }

  /** A presentation begins, or nearly so. */
  #openMultimedia(client: WireClient): void {
    const say = (message: readonly number[]): void => this.#say(client, 0, Uint8Array.from(message));
    for (const message of [[0x50, 0, 1, 0], ...TSMF_OPENING]) say(message);
    this.#playVideo('jpeg');
    const length = this.#random(2) === 0 ? TSMF_PRESENTATION.length : this.#random(TSMF_PRESENTATION.length);
    for (const message of TSMF_PRESENTATION.slice(0, length)) say(message);
  }

  #playVideo(form: CodedForm): void {
    const random = this.#random;
    const [isKey, layer] = [random(2) === 0, random(2)];
    this.#video.show({ form, area: VIDEO_AREA, data: this.#junk(), isKey, layer });
    if (random(9) === 0) this.#video.end();
  }

  #damaged(packet: Uint8Array): Uint8Array {
    const random = this.#random;
    const bytes = packet.slice();
    for (let i = random(4); i > 0; i--) bytes[random(bytes.length)] = random(256);
    return random(3) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
  }

  #junk(): Uint8Array {
    return Uint8Array.from({ length: this.#random(200) }, () => this.#random(256));
  }

  #connection(protocols: number, send: (bytes: Uint8Array) => void) {
    const ends: string[] = [];
    const client: WireClient = new WireClient(
      { protocols, channels: CHANNELS, hasPipeline: true, measures: protocols !== 0 },
      send,
    );
    client.selectedProtocol = protocols;
    const session: ClientSession = new ClientSession({
      desktop: this.#desktop,
      policy: { method: 'negotiate', credSsp: undefined, credSspOnly: false },
      videoQuality: 75,
      nowMs: () => 0,
      later: () => () => {},
      disabled: { display: false, input: false, audio: false },
      clipboard: { fromClient: true, toClient: true, files: true },
      standardKey: () => this.#key,
      send: (bytes) => {
        client.take(bytes);
        return true;
      },
      startTls: () => {},
      random: (count) => new Uint8Array(count).fill(9),
      authenticate: async () => undefined,
      slowDown: async () => {},
      onWrongPassword: () => {},
      onActive: () => ({ logonId: 1, random: new Uint8Array(16) }),
      onEnd: (why) => ends.push(why),
      note: () => {},
    });
    return { client, session, ends };
  }

  async #connectGood() {
    const made = this.#connection(PROTOCOL.ssl, (bytes) => made.session.receive(bytes));
    for (const step of made.client.steps()) {
      step();
      await turn();
    }
    // It has files, which the others may ask about.
    for (const message of MESSAGES.filter(([channel]) => channel === CLIPBOARD).slice(1, 3)) {
      for (const chunk of encodeChannelChunks(Uint8Array.from(message[1]))) {
        made.client.sendData(made.client.channelIds[CLIPBOARD], chunk);
      }
    }
    return made;
  }

  /** It still sees and types, and nothing of the others is left. */
  async #checkGood(): Promise<void> {
    const { client, ends } = this.#good ?? (await this.#connectGood());
    client.received.length = 0;
    this.#desktop.scancodes.length = 0;
    this.#desktop.mouse.length = 0;
    this.#desktop.paint(5, 5, 1, 1, this.#typed++);
    client.sendFastKey(0x1e, this.#typed % 2 === 1);
    await turn();
    const seen = client.received.length > 0 && this.#desktop.scancodes.length === 1;
    const isAlone =
      this.#desktop.viewCount === 1 &&
      this.#desktop.listeners.size === 0 &&
      this.#desktop.plugged.size === 1 &&
      this.#video.watchers.size === 0;
    if (!seen || !isAlone || ends.length > 0) {
      throw new Error(
        `another session was harmed: ${client.received.length} packets, ${this.#desktop.viewCount} views`,
      );
    }
  }
}

function attempt(what: () => void): void {
  try {
    what();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
  }
}
