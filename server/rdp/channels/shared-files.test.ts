/** Files that one client has copied and another pastes, both on the wire. Layouts from [MS-RDPECLIP] 2.2.3.1.2, 2.2.5. */
import { describe, expect, it } from 'vitest';
import { SharedClipboard } from '#display/desktop/shared-clipboard.ts';
import { PduError, PduReader, PduWriter, utf16Text } from '../pdu/bytes.ts';
import { ClipboardChannel, type ClipboardWays } from './clipboard.ts';
import { capabilities, formats, LIST_FORMAT, type Listed, list, pdu } from './clipboard-pdus.suite.ts';
import { MOST_SHARED_FILES } from './copied-files.ts';
import { MOST_PART_BYTES, PIECE_BYTES } from './files-for-client.ts';

const TYPE = { formats: 2, taken: 3, dataRequest: 4, data: 5, contentsRequest: 8, contents: 9 } as const;
const ALL: ClipboardWays = { fromClient: true, toClient: true, files: true };
const FILES = formats([LIST_FORMAT, 'FileGroupDescriptorW']);
const TEXT = formats([13, '']);

class Time {
  #now = 0;
  readonly due = new Map<() => void, number>();
  readonly later = (ms: number, what: () => void): (() => void) => {
    const one = (): void => what();
    this.due.set(one, this.#now + ms);
    return () => this.due.delete(one);
  };
  wait(ms: number): void {
    this.#now += ms;
    for (const [what, at] of [...this.due]) if (at <= this.#now && this.due.delete(what)) what();
  }
}

interface Heard {
  readonly type: number;
  readonly ok: boolean;
  readonly body: PduReader;
}

/** A client: what the server has told it, and what it answers. */
class Client {
  readonly channel: ClipboardChannel;
  hasRoom = true;
  readonly #sent: Uint8Array[] = [];

  constructor(
    { clipboard, time }: Room,
    { ways = ALL, mayGive = true, can = 2 | 4 }: { ways?: ClipboardWays; mayGive?: boolean; can?: number } = {},
  ) {
    const send = (message: Uint8Array): void => void this.#sent.push(message.slice());
    const parts = { mayGive, hasRoom: () => this.hasRoom };
    this.channel = new ClipboardChannel(clipboard, ways, time.later, send, parts);
    this.channel.begin();
    this.channel.receive(capabilities(can));
    this.channel.receive(pdu(TYPE.formats, 0));
    this.heard();
  }

  /** What came since the last time; it says that it has formats that it was told. */
  heard(): Heard[] {
    const all = this.#sent.splice(0).map((message): Heard => {
      const r = new PduReader(message);
      const [type, flags] = [r.u16(), r.u16()];
      return { type, ok: (flags & 1) !== 0, body: r.part(r.u32()) };
    });
    if (all.some(({ type }) => type === TYPE.formats)) this.channel.receive(pdu(TYPE.taken, 1));
    return all;
  }

  /** Names or numbers of the formats that it was told of last; undefined: it was told of none since the last time. */
  told(): string[] | undefined {
    const last = this.heard()
      .filter(({ type }) => type === TYPE.formats)
      .at(-1)?.body;
    if (!last) return undefined;
    const names: string[] = [];
    while (last.remaining > 0) {
      const id = last.u32();
      let name = '';
      for (let unit = last.u16(); unit !== 0; unit = last.u16()) name += String.fromCharCode(unit);
      names.push(name || `${id}`);
    }
    return names;
  }

  askList(format = 0xc0b1): void {
    this.channel.receive(pdu(TYPE.dataRequest, 0, new PduWriter().u32(format).done()));
  }

  askPart(stream: number, index: number, at: number, count: number, flags = 2): void {
    const w = new PduWriter().u32(stream).u32(index).u32(flags).u32(at);
    this.channel.receive(
      pdu(
        TYPE.contentsRequest,
        0,
        w
          .u32(Math.floor(at / 2 ** 32))
          .u32(count)
          .done(),
      ),
    );
  }

  /** As who has the files: answers one question with these. @returns what was asked; undefined: nothing */
  give(contents: readonly Uint8Array[]): (readonly number[])[] {
    const asked: (readonly number[])[] = [];
    for (const { type, body } of this.heard()) {
      if (type !== TYPE.contentsRequest) continue;
      const [stream, index, flags, at, high, count] = Array.from({ length: 6 }, () => body.u32());
      asked.push([index, flags, high * 2 ** 32 + at, count]);
      const whole = contents[index];
      const data = flags === 1 ? new PduWriter().u32(whole.length).u32(0).done() : whole.subarray(at, at + count);
      this.channel.receive(pdu(TYPE.contents, 1, new PduWriter().u32(stream).bytes(data).done()));
    }
    return asked;
  }
}

interface Room {
  readonly clipboard: SharedClipboard;
  readonly time: Time;
}

const room = (): Room => ({ clipboard: new SharedClipboard(), time: new Time() });

/** Names and sizes in the list that a client got. */
function listOf({ ok, body }: Heard): (readonly [string, number | undefined])[] | undefined {
  if (!ok) return undefined;
  return Array.from({ length: body.u32() }, () => {
    const one = body.part(592);
    const flags = one.u32();
    one.skip(32 + 4 + 24);
    const [high, low] = [one.u32(), one.u32()];
    return [utf16Text(one.take(520)), flags & 0x40 ? high * 2 ** 32 + low : undefined] as const;
  });
}

const filled = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + seed) & 255);

/** Ann has copied files, and Bob has been told. */
function copied(files: readonly Listed[], here = room()) {
  const ann = new Client(here);
  const bob = new Client(here);
  ann.channel.receive(FILES);
  ann.heard();
  expect(bob.told()).toEqual(['FileGroupDescriptorW']);
  bob.askList();
  const questions = ann.heard();
  expect(questions.map(({ type }) => type)).toEqual([TYPE.dataRequest]);
  expect(questions[0].body.u32()).toBe(LIST_FORMAT);
  ann.channel.receive(list(files));
  const [answer] = bob.heard();
  return { ...here, ann, bob, listed: listOf(answer) };
}

const contentsOf = (heard: readonly Heard[]): { stream: number; data: Uint8Array | undefined }[] =>
  heard
    .filter(({ type }) => type === TYPE.contents)
    .map(({ ok, body }) => ({ stream: body.u32(), data: ok ? body.rest() : undefined }));

describe('files that one client has copied', () => {
  it('are told to others when these ask, without folders and by safe names', () => {
    const { listed } = copied([
      { path: 'dir', isFolder: true },
      { path: 'dir\\..\\note.txt', size: 5_000_000_000 },
      { path: 'other\\NOTE.txt', size: 3 },
      { path: 'nul' },
    ]);
    expect(listed).toEqual([
      ['note.txt', 5_000_000_000],
      ['NOTE (2).txt', 3],
      ['_nul', undefined],
    ]);
  });

  it('come from the client that has them, in pieces, and nothing is asked before', () => {
    const contents = [new Uint8Array(0), filled(200_000, 1), filled(10, 2)];
    const { ann, bob } = copied([{ path: 'dir', isFolder: true }, { path: 'a', size: 200_000 }, { path: 'b' }]);
    expect(ann.heard()).toEqual([]);
    // What the list says is not asked; what it does not say is.
    bob.askPart(7, 0, 0, 8, 1);
    bob.askPart(8, 1, 0, 8, 1);
    expect(ann.give(contents)).toEqual([[2, 1, 0, 8]]);
    const sizes = contentsOf(bob.heard());
    expect(sizes).toEqual([
      { stream: 7, data: new PduWriter().u32(200_000).u32(0).done() },
      { stream: 8, data: new PduWriter().u32(10).u32(0).done() },
    ]);
    bob.askPart(9, 0, 1000, 150_000);
    bob.askPart(9, 0, 190_000, 150_000);
    const asked: (readonly number[])[] = [];
    for (let more = ann.give(contents); more.length > 0; more = ann.give(contents)) asked.push(...more);
    expect(asked).toEqual([
      [1, 2, 1000, PIECE_BYTES],
      [1, 2, 1000 + PIECE_BYTES, PIECE_BYTES],
      [1, 2, 1000 + 2 * PIECE_BYTES, 150_000 - 2 * PIECE_BYTES],
      [1, 2, 190_000, PIECE_BYTES],
    ]);
    const parts = contentsOf(bob.heard());
    expect(parts.map(({ stream }) => stream)).toEqual([9, 9]);
    // Compared as one: value by value it takes seconds.
    expect(Buffer.from(parts[0].data ?? []).equals(contents[1].subarray(1000, 151_000))).toBe(true);
    expect(Buffer.from(parts[1].data ?? []).equals(contents[1].subarray(190_000))).toBe(true);
    bob.askPart(1, 0, 2 ** 32 + 5, 10);
    expect(ann.give([contents[0], new Uint8Array(0)])).toEqual([[1, 2, 2 ** 32 + 5, 10]]);
    expect(contentsOf(bob.heard())).toEqual([{ stream: 1, data: new Uint8Array(0) }]);
  });

  it('are the machine’s and others’ at once, and text can be asked between', () => {
    const here = room();
    const both = [
      [13, ''],
      [LIST_FORMAT, 'FileGroupDescriptorW'],
    ] as const;
    const ann = new Client(here);
    const bob = new Client(here);
    const plain = new Client(here, { can: 0 });
    ann.channel.receive(formats(...both));
    ann.heard();
    // The text is asked for first: one question at a time.
    here.time.wait(100);
    expect(bob.told()).toEqual(['FileGroupDescriptorW']);
    bob.askList();
    expect(ann.heard().map(({ body }) => body.u32())).toEqual([13]);
    ann.channel.receive(pdu(TYPE.data, 1, new PduWriter().utf16('file:///note\0').done()));
    here.time.wait(100);
    expect(ann.heard().map(({ body }) => body.u32())).toEqual([LIST_FORMAT]);
    ann.channel.receive(list([{ path: 'note', size: 1 }]));
    const heard = bob.heard();
    expect(heard.map(({ type }) => type)).toEqual([TYPE.data]);
    expect(listOf(heard[0])).toEqual([['note', 1]]);
    // Who cannot have files has the text; this one's lists have short names, 32 bytes each.
    const [{ type, body }] = plain.heard();
    expect([type, body.u32(), body.remaining]).toEqual([TYPE.formats, 13, 32]);
    expect(here.clipboard.text).toBe('file:///note');
  });

  it('are told to who comes later', () => {
    const here = room();
    const ann = new Client(here);
    ann.channel.receive(FILES);
    const late = new ClipboardChannel(here.clipboard, ALL, here.time.later, (message) => sent.push(message.slice()), {
      mayGive: true,
      hasRoom: () => true,
    });
    const sent: Uint8Array[] = [];
    late.begin();
    late.receive(capabilities(6));
    late.receive(TEXT);
    expect(sent.at(-1)).toEqual(formats([0xc0b1, 'FileGroupDescriptorW']));
  });

  it.each([
    ['leaves', (ann: Client) => ann.channel.close(), []],
    ['copies text', (ann: Client) => ann.channel.receive(TEXT), []],
    ['copies other files', (ann: Client) => ann.channel.receive(FILES), ['FileGroupDescriptorW']],
  ])('are gone at once when who has them %s', (_, ends, told) => {
    const { ann, bob, time } = copied([{ path: 'a', size: 9 }]);
    bob.askPart(1, 0, 0, 9);
    bob.askPart(2, 0, 0, 9);
    expect(bob.heard()).toEqual([]);
    const [question] = ann.heard();
    ends(ann);
    const heard = bob.heard();
    expect(contentsOf(heard)).toEqual([
      { stream: 1, data: undefined },
      { stream: 2, data: undefined },
    ]);
    bob.channel.receive(pdu(TYPE.taken, 1));
    const lists = heard.filter(({ type }) => type === TYPE.formats);
    expect(lists).toHaveLength(1);
    expect(lists[0].body.remaining === 0).toBe(told.length === 0);
    // An answer that comes afterwards is nobody's.
    const stream = question.body.u32();
    if (told.length > 0) ann.channel.receive(pdu(TYPE.contents, 1, new PduWriter().u32(stream).u32(0).done()));
    expect(bob.heard()).toEqual([]);
    bob.askList();
    if (told.length > 0) ann.channel.receive(list([{ path: 'b', size: 1 }]));
    expect(listOf(bob.heard()[0])).toEqual(told.length > 0 ? [['b', 1]] : undefined);
    ann.channel.close();
    bob.channel.close();
    expect(time.due.size).toBe(0);
  });

  it('stay while who has them has lost sight of them, and are asked for', () => {
    const { ann, bob } = copied([{ path: 'a', size: 9 }]);
    ann.channel.receive(pdu(TYPE.formats, 0));
    expect(bob.told()).toBeUndefined();
    ann.heard();
    bob.askPart(1, 0, 0, 9);
    expect(ann.give([filled(9, 1)])).toHaveLength(1);
    expect(contentsOf(bob.heard())).toEqual([{ stream: 1, data: filled(9, 1) }]);
  });

  it('give way to the text that was there before them, but not to one who says again what he has', () => {
    const { ann, bob, clipboard } = copied([]);
    const [first, second] = [clipboard.open(() => {}), clipboard.open(() => {})];
    second.put('text');
    expect([ann.told(), bob.told()]).toEqual([['13'], ['13']]);
    bob.channel.receive(FILES);
    expect(ann.told()).toEqual(['FileGroupDescriptorW']);
    second.put('text');
    expect(ann.told()).toBeUndefined();
    first.put('text');
    expect([ann.told(), bob.told()]).toEqual([['13'], ['13']]);
    // Whose files they were has copied the same text since.
    ann.channel.receive(FILES);
    expect(bob.told()).toEqual(['FileGroupDescriptorW']);
    ann.channel.receive(TEXT);
    expect(bob.told()).toEqual([]);
    expect(clipboard.files).toBeUndefined();
  });

  it('give way to a text that another copies, and to files that another copies', () => {
    const { ann, bob, clipboard } = copied([{ path: 'a', size: 9 }]);
    const eve = new Client({ clipboard, time: new Time() });
    clipboard.open(() => {}).put('newer');
    expect([ann.told(), bob.told(), eve.told()]).toEqual([['13'], ['13'], ['13']]);
    bob.askPart(1, 0, 0, 9);
    expect(contentsOf(bob.heard())).toEqual([{ stream: 1, data: undefined }]);
    bob.channel.receive(FILES);
    expect([ann.told(), eve.told()]).toEqual([['FileGroupDescriptorW'], ['FileGroupDescriptorW']]);
    eve.channel.receive(FILES);
    expect([ann.told(), bob.told()]).toEqual([['FileGroupDescriptorW'], ['FileGroupDescriptorW']]);
    ann.askList();
    expect(eve.heard().at(-1)?.type).toBe(TYPE.dataRequest);
    expect(bob.heard()).toEqual([]);
  });

  it.each([
    ['where nobody has allowed it', { ways: { fromClient: true, toClient: true } }, {}, undefined],
    ['where clipboards are off', { ways: { fromClient: false, toClient: false, files: true } }, {}, undefined],
    ['of who only looks on', { mayGive: false }, {}, undefined],
    ['to who may take nothing', {}, { ways: { fromClient: true, toClient: false, files: true } }, undefined],
    ['to who cannot have files', {}, { can: 2 }, undefined],
    ['to who has short names alone', {}, { can: 4 }, undefined],
    ['of who says it has none to give', { can: 2 }, {}, undefined],
    ['to who only looks on', {}, { mayGive: false }, ['FileGroupDescriptorW']],
  ] as const)('go, or go not: %s', (_, of, to, told) => {
    const here = room();
    const ann = new Client(here, of);
    const bob = new Client(here, to);
    ann.channel.receive(FILES);
    ann.heard();
    expect(bob.told()).toEqual(told);
    bob.askList();
    bob.askPart(1, 0, 0, 9);
    expect(ann.heard().some(({ type }) => type === TYPE.dataRequest)).toBe(told !== undefined);
  });
});

describe('somebody hostile', () => {
  it('who asks without end costs one part at a time, and is answered as often', () => {
    const contents = [filled(5_000_000, 3)];
    const { ann, bob } = copied([{ path: 'a', size: 5_000_000 }]);
    for (let i = 0; i < 1000; i++) bob.askPart(i, 0, 0, 0xffff_ffff);
    expect(ann.give(contents)).toHaveLength(1);
    const refused = contentsOf(bob.heard());
    expect(refused.length).toBeGreaterThan(900);
    expect(refused.every(({ data }) => data === undefined)).toBe(true);
    bob.hasRoom = false;
    let asked = 0;
    for (let more = ann.give(contents); more.length > 0; more = ann.give(contents)) asked += more.length;
    // Without room the next part is not even fetched.
    expect(asked).toBeLessThan(MOST_PART_BYTES / PIECE_BYTES);
    const parts = contentsOf(bob.heard());
    expect(parts.map(({ data }) => data?.length)).toEqual([MOST_PART_BYTES]);
    bob.hasRoom = true;
    bob.channel.onRoom();
    expect(ann.give(contents)).toHaveLength(1);
  });

  it.each([
    ['gives more than was asked for', 65_537 * 4, 1],
    ['says that it cannot read it', 0, 2],
  ])('who %s gives nothing', (_, count, flags) => {
    const { ann, bob } = copied([{ path: 'a', size: 100_000_000 }]);
    bob.askPart(5, 0, 0, 0x4_0000);
    const [{ body }] = ann.heard();
    const answer = new PduWriter().u32(body.u32()).zeros(count).done();
    ann.channel.receive(pdu(TYPE.contents, flags, answer));
    expect(contentsOf(bob.heard())).toEqual([{ stream: 5, data: undefined }]);
  });

  it('who says nothing is waited for ten seconds, for the list and for a part', () => {
    const { ann, bob, time } = copied([{ path: 'a', size: 9 }]);
    bob.askPart(5, 0, 0, 9);
    time.wait(9999);
    expect(bob.heard()).toEqual([]);
    time.wait(1);
    expect(contentsOf(bob.heard())).toEqual([{ stream: 5, data: undefined }]);
    ann.channel.receive(FILES);
    bob.heard();
    bob.askList();
    time.wait(10_000);
    expect(bob.heard().map(({ type, ok }) => [type, ok])).toEqual([[TYPE.data, false]]);
  });

  it('who asks for what is not there gets nothing, and who has it is not asked', () => {
    const { ann, bob } = copied([{ path: 'a', size: 9 }]);
    bob.askPart(1, 1, 0, 9);
    bob.askPart(2, 0xffff_ffff, 0, 9);
    bob.askPart(3, 0, 2 ** 63, 9);
    bob.askPart(4, 0, 0, 9, 3);
    bob.askPart(5, 0, 0, 9, 0);
    bob.askPart(6, 0, 0, 0);
    expect(ann.heard()).toEqual([]);
    expect(contentsOf(bob.heard()).map(({ data }) => data)).toEqual([
      ...new Array(5).fill(undefined),
      new Uint8Array(0),
    ]);
    expect(() => bob.channel.receive(pdu(TYPE.contentsRequest, 0, new Uint8Array(8)))).toThrow(PduError);
  });

  it('whose list is none gives none', () => {
    const many = Array.from({ length: MOST_SHARED_FILES + 1 }, (_, i) => ({ path: `${i}`, size: 1 }));
    expect(copied(many).listed).toBeUndefined();
    expect(copied(many.slice(1)).listed).toHaveLength(MOST_SHARED_FILES);
    expect(copied([]).listed).toBeUndefined();
    expect(copied([{ path: 'dir', isFolder: true }]).listed).toBeUndefined();
    const here = room();
    const [ann, bob] = [new Client(here), new Client(here)];
    ann.channel.receive(FILES);
    bob.heard();
    bob.askList();
    expect(() => ann.channel.receive(pdu(TYPE.data, 1, Uint8Array.of(9, 0, 0, 0, 1)))).toThrow(PduError);
    ann.channel.close();
    expect(bob.heard().map(({ type, ok }) => [type, ok])).toEqual([
      [TYPE.data, false],
      [TYPE.formats, false],
    ]);
  });
});
