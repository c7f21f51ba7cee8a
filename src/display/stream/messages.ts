/**
 * The display stream protocol: every message between a machine's host, the relay and those who watch. One message is
 * one WebSocket message or one WebRTC data channel message: a byte that names it, then its fields.
 *
 * Pictures. Every update carries a number, which goes up for as long as the session lasts, and the number it builds upon (`base`): it brings whoever has at least `base`
 * to `sequence`; base 0 builds upon nothing. So a late joiner, a slow viewer and everybody else are served by the same
 * kind of message, made once.
 *
 * Videos. A part of the screen may come as a coded video instead; meanwhile updates leave what is in it as it was when the
 * video began, and viewers show its pictures over it. `videoEnd` comes before the update that has that part again. Pictures
 * of a higher layer are needed by none of a lower one, so viewers who are slow get fewer.
 *
 * Sound is packets of one form or another, each with the number of its first frame (see emu/host/sound.ts). Nobody is sent
 * any who has not asked; where numbers jump there was silence, which is not sent, or the receiver was too slow.
 *
 * Input carries the epoch of the lease it was made under; what comes late, from an earlier epoch, is dropped.
 */
import {
  ByteReader,
  ByteWriter,
  bytes,
  choice,
  type Field,
  flag,
  flags,
  list,
  type RecordOf,
  record,
  refuse,
  type Shape,
  s8,
  s16,
  text,
  u8,
  u16,
  u32,
} from './fields.ts';

/** Whoever comes in says it; the relay goes on only when it is its own. */
export const STREAM_VERSION = 6;
/**
 * What a relay welcomes with. From 7 on it takes `videoCoders`; to older ones, which end a connection at a message that
 * they do not know, only `videoForms` are said. A host that has said `videoCoders` is sent them.
 */
export const RELAY_VERSION = 7;
/** No one: nobody holds the lease. */
export const NOBODY = 0xffff;
/** The participant who sits at the machine itself. */
export const HOST = 0;

/** Bytes of the longest message. */
export const MAX_MESSAGE_BYTES: number = 34 << 20;
/** Largest screen: what one monitor of the display adapter can show in whatever shape, or four of half the size. */
export const MAX_SCREEN_PIXELS: number = 3840 * 2160;
export const MAX_SCREEN_SIDE = 8192;
/** Bytes of the longest message that somebody other than a host may send. */
export const MAX_VIEWER_MESSAGE_BYTES = 20_000;
export const MAX_PEOPLE = 256;
export const MAX_LINKS = 64;
/** Bytes of UTF-8. */
export const MAX_NAME_BYTES = 80;
export const MAX_TYPED_BYTES = 8192;
export const MAX_SCANCODES = 32;

export const ROLES = ['view', 'control', 'owner'] as const;
/** view: sees. control: also types and points. owner: also takes the lease from others and chooses the mode. */
export type Role = (typeof ROLES)[number];

export const INPUT_MODES = ['share', 'lease'] as const;
/** share: everybody types at once. lease: one person at a time. */
export type InputMode = (typeof INPUT_MODES)[number];

/**
 * request: ask for the lease, or take it when it is free. release: give it back. give: hand it to `target`.
 * take: an owner gives it to `target`, whoever has it. share, lease: an owner chooses the mode.
 */
export const LEASE_ACTIONS = ['request', 'release', 'give', 'take', 'share', 'lease'] as const;
export type LeaseAction = (typeof LEASE_ACTIONS)[number];

export const SOUND_FORMS = ['pcm', 'opus'] as const;
/** pcm: 16-bit samples, little endian, left and right alternating, 48 kHz. opus: one packet (RFC 6716) of two channels. */
export type SoundForm = (typeof SOUND_FORMS)[number];
/** Frames of the longest packet, 60 ms. */
export const MAX_SOUND_FRAMES = 2880;

export const VIDEO_FORMS = ['h264', 'vp9', 'vp8', 'av1', 'jpeg'] as const;
/**
 * h264: ITU-T H.264, constrained baseline, Annex B, parameter sets with each key picture. vp9, vp8: frames of RFC 9628,
 * RFC 6386. av1: temporal units of the AV1 specification, high profile with 4:4:4. jpeg: a picture of ITU-T T.81 each.
 */
export type VideoForm = (typeof VIDEO_FORMS)[number];
export type VideoForms = Readonly<Record<VideoForm, boolean>>;
export const MAX_VIDEO_BYTES: number = 4 << 20;

/** Bytes of a part of a copied text. */
export const MAX_CLIPBOARD_PART_BYTES = 16_000;

/** What may be given to a guest at once. */
export const MAX_DISC_FILES = 64;
export const MAX_DISC_BYTES: number = 256 << 20;
export const MAX_DISC_PART_BYTES = 16_000;
/** Bytes of a disc that may be on their way. */
export const DISC_WINDOW_BYTES: number = 256 << 10;

const role = choice(ROLES);
const name = text(MAX_NAME_BYTES);
/** A participant: 0 is the host. Viewers send 0; the relay puts in who it really was. */
const participant = u16;
const token = text(2048);
const secret = text(128);

const person = record({ id: u16, name, role, link: text(32) });
export type Person = RecordOf<{
  id: typeof u16;
  name: typeof name;
  role: typeof role;
  link: typeof secret;
}>;
/** expires: seconds since 1970, 0 never. usesLeft: 65535 any number. */
const link = record({ id: text(32), label: name, token, role, expires: u32, usesLeft: u16, people: u16 });
export type Link = RecordOf<{
  id: typeof secret;
  label: typeof name;
  token: typeof token;
  role: typeof role;
  expires: typeof u32;
  usesLeft: typeof u16;
  people: typeof u16;
}>;
export const ANY_NUMBER_OF_USES = 0xffff;

/** Monitors of a machine. */
export const MAX_PLACES = 4;
const place = record({ monitor: u8, x: u16, y: u16, width: u16, height: u16 });

const discFile = record({ name: text(255), byteCount: u32 });
export type DiscFileHead = RecordOf<{ name: typeof name; byteCount: typeof u32 }>;

const SHAPES = {
  /**
   * Viewer: let me in. `key` is a former `welcome`'s, to come back as the same person; empty the first time.
   * since: the number of the last update that I have; 0 none.
   */
  join: { version: u16, name, key: secret, since: u32 },
  /** Host: open a session, or I am back in it (`key`). */
  host: { version: u16, machine: name, name, key: secret },
  /** Relay: you are in. */
  welcome: { version: u16, participant, role, machine: name, key: secret },
  /** Relay: who is here, the host first. `link` is told to the host and owners alone. */
  roster: { people: list(person, MAX_PEOPLE + 1) },
  /** Host, through the relay to all: who may type. */
  lease: { mode: choice(INPUT_MODES), holder: participant, epoch: u16, asking: list(u16, MAX_PEOPLE) },
  leaseAction: { participant, action: choice(LEASE_ACTIONS), target: u16 },
  /** Set 1 scan codes, as an AT keyboard behind a translating 8042 sends them: whole makes and breaks. */
  keys: { participant, epoch: u16, scancodes: bytes(MAX_SCANCODES) },
  /** dx, dy in counts, right and down positive; notches of wheels: dz towards the person, dw to the left; buttons as of `MouseInput`. */
  mouse: { participant, epoch: u16, dx: s16, dy: s16, dz: s8, buttons: u8, dw: s8 },
  /** To be typed on the guest's keyboard. */
  typed: { participant, epoch: u16, text: text(MAX_TYPED_BYTES) },
  /** Where somebody's pointer is, in guest pixels, for the others to see. */
  pointer: { participant, x: u16, y: u16, shown: flag },
  /** Host, through the relay to all: `tiles` is raw DEFLATE (RFC 1951) of `rawBytes` bytes, see tile-codec.ts. */
  update: {
    ...{ sequence: u32, base: u32, width: u16, height: u16, fourByThree: flag, rawBytes: u32 },
    tiles: bytes(MAX_MESSAGE_BYTES - 64),
  },
  /** The receiver has everything up to `sequence`. */
  ack: { sequence: u32 },
  /** Relay to host: send an update that builds upon `since`. */
  refresh: { since: u32 },
  keepAlive: {},
  /** Host: make a link. lifetime: seconds, 0 until the session ends. uses: 65535 any number. */
  makeLink: { label: name, role, lifetime: u32, uses: u16 },
  revokeLink: { id: text(32) },
  /** Host or owner: send somebody away. */
  dismiss: { participant },
  /** Relay to host: all links that can still be used. */
  links: { links: list(link, MAX_LINKS) },
  /** Towards the host with who it is from, from the host with who it is for: WebRTC session descriptions and candidates. */
  signal: { participant, data: text(16_384) },
  /** Host: the session is over. */
  end: {},
  /**
   * Viewer to relay: pictures come another way (`on`), or no longer, and I have everything up to `since`. Host to viewer,
   * directly: this is that way, from `since` on.
   */
  direct: { on: flag, since: u32 },
  /**
   * Forms of sound. Viewer: what I can play now; pcm is for those without opus. Host: what I can send. Relay to host: what
   * somebody here needs.
   */
  soundForms: { pcm: flag, opus: flag },
  /** Host, through the relay to those who asked for it. */
  sound: { form: choice(SOUND_FORMS), firstFrame: u32, frames: u16, data: bytes(MAX_SOUND_FRAMES * 4) },
  /** `videoCoders` of peers older than it. */
  videoForms: { h264: flag, vp9: flag, vp8: flag },
  /** Host, through the relay: a picture of a video that shows at x, y of the screen. */
  video: {
    ...{ number: u32, form: choice(VIDEO_FORMS), x: u16, y: u16, width: u16, height: u16, isKey: flag, layer: u8 },
    data: bytes(MAX_VIDEO_BYTES),
  },
  videoEnd: {},
  /** The receiver has the video up to this number. */
  videoAck: { number: u32 },
  /** To the host: somebody needs a picture that builds upon no other. */
  videoKey: {},
  /** Viewer, through the relay to the host: files that are to be on a disc in the guest's CD drive. Ends an earlier one. */
  disc: { participant, id: u16, files: list(discFile, MAX_DISC_FILES) },
  /** Their bytes, one behind the other, from `at` on. */
  discPart: { participant, id: u16, at: u32, data: bytes(MAX_DISC_PART_BYTES) },
  /** Host to viewer: I have so many, at the end that the disc is in; or, with a `refusal`, that it will not be. */
  discTaken: { participant, id: u16, upTo: u32, refusal: text(300) },
  /** A text that a participant has copied for all who may type, in parts: to the host, and from there to the others. */
  clipboard: { participant, isFirst: flag, isLast: flag, text: text(MAX_CLIPBOARD_PART_BYTES) },
  /** Host, through the relay to all: where in the picture the machine's monitors lie; none: there is one. */
  monitors: { places: list(place, MAX_PLACES) },
  /**
   * Forms of video. Viewer: those that I can show now. Host: those that I can code. Relay to host: those that everybody
   * here can show; none when nobody is here.
   */
  videoCoders: { forms: flags(VIDEO_FORMS) },
} as const satisfies Record<string, Shape>;

type Shapes = typeof SHAPES;
export type MessageName = keyof Shapes;
export type Message = { [N in MessageName]: { readonly name: N; readonly body: RecordOf<Shapes[N]> } }[MessageName];
export type BodyOf<N extends MessageName> = RecordOf<Shapes[N]>;

const NAMES = Object.keys(SHAPES) as MessageName[];
const FIELDS = NAMES.map((one) => record(SHAPES[one])) as unknown as Field<unknown>[];
const NUMBERS = new Map(NAMES.map((one, index) => [one, index]));

/**
 * @returns one message's bytes
 * @throws CodedError<'bad-stream'> when a field is out of range
 */
export function encodeMessage<N extends MessageName>(what: N, body: BodyOf<N>): Uint8Array<ArrayBuffer> {
  const number = NUMBERS.get(what) as number;
  const to = new ByteWriter();
  to.u8(number);
  FIELDS[number].write(to, body);
  return to.take();
}

/**
 * @param message one whole message; byte fields of the result are views of it
 * @throws CodedError<'bad-stream'> when it is none, is longer than allowed, or goes on after its end
 */
export function decodeMessage(message: Uint8Array, mostBytes: number = MAX_MESSAGE_BYTES): Message {
  if (message.length > mostBytes) refuse(`a message of ${message.length} bytes is longer than ${mostBytes}`);
  const from = new ByteReader(message);
  const number = from.u8();
  const field = FIELDS[number];
  if (!field) refuse(`there is no message ${number}: the other end may be a newer version`);
  const body = field.read(from);
  if (from.left > 0) refuse(`${from.left} bytes follow the end of the message`, { message: NAMES[number] });
  return { name: NAMES[number], body } as Message;
}
