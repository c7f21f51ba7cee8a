import { expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import type { GivenFile } from '#display/desktop/desktop.ts';
import { SharedClipboard } from '#display/desktop/shared-clipboard.ts';
import { PduReader, PduWriter } from '../pdu/bytes.ts';
import { ClipboardChannel } from './clipboard.ts';
import { MOST_FILE_BYTES } from './clipboard-files.ts';
import { capabilities, formats, LIST_FORMAT, type Listed, list, pdu } from './clipboard-pdus.suite.ts';

const FILES = formats([13, ''], [LIST_FORMAT, 'FileGroupDescriptorW']);

function channel(take: (files: readonly GivenFile[]) => Promise<void> = async () => {}) {
  const given: GivenFile[][] = [];
  const said: string[] = [];
  const sent: Uint8Array[] = [];
  const due = new Map<() => void, number>();
  let now = 0;
  const clipboard = new SharedClipboard();
  const one = new ClipboardChannel(
    clipboard,
    { fromClient: true, toClient: true, files: true },
    (ms, what) => {
      due.set(what, now + ms);
      return () => due.delete(what);
    },
    (message) => sent.push(message.slice()),
    {
      taker: {
        take: async (files) => {
          given.push([...files]);
          await take(files);
        },
        say: (text) => said.push(text),
      },
      mayGive: true,
      hasRoom: () => true,
    },
  );
  const wait = (ms: number): void => {
    now += ms;
    for (const [what, at] of [...due]) if (at <= now && due.delete(what)) what();
  };
  one.begin();
  one.receive(capabilities(2 | 4));
  const taken = (): Uint8Array[] => sent.splice(0);
  /** Answers what was asked about files from these, in the order of the list. */
  const answer = (contents: readonly Uint8Array[]): number[][] => {
    const asked: number[][] = [];
    for (let questions = taken(); questions.length > 0; questions = taken()) {
      for (const question of questions) {
        const r = new PduReader(question);
        if (r.u16() !== 8) continue;
        r.skip(6);
        const [stream, index, flags, at, high, count] = [r.u32(), r.u32(), r.u32(), r.u32(), r.u32(), r.u32()];
        asked.push([index, flags, at, count]);
        expect(high).toBe(0);
        const whole = contents[index];
        const size = new PduWriter().u32(whole.length).u32(0).done();
        const data = flags === 1 ? size : whole.subarray(at, at + count);
        one.receive(pdu(9, 1, new PduWriter().u32(stream).bytes(data).done()));
      }
    }
    return asked;
  };
  return { one, clipboard, given, said, taken, wait, answer };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => i * 7);

it('says that it can, and fetches files in parts once they are wanted', async () => {
  const { one, given, said, taken, wait, answer } = channel();
  expect(taken()).toEqual([capabilities(2 | 4 | 8), pdu(1, 0)]);
  expect(one.fetchFiles()).toBe(false);
  one.receive(FILES);
  expect(taken()).toEqual([pdu(3, 1)]);
  expect(one.fetchFiles()).toBe(true);
  expect(taken()).toEqual([pdu(4, 0, Uint8Array.of(0xde, 0xc0, 0, 0))]);
  const contents = [bytes(0), bytes(300_000), bytes(0), bytes(5)];
  one.receive(
    list([
      { path: 'folder', isFolder: true },
      { path: 'folder\\Büro.bin', size: 300_000 },
      { path: 'empty', size: 0 },
      { path: 'unsized.txt' },
    ]),
  );
  expect(answer(contents)).toEqual([
    [1, 2, 0, 131_072],
    [1, 2, 131_072, 131_072],
    [1, 2, 262_144, 37_856],
    [3, 1, 0, 8],
    [3, 2, 0, 5],
  ]);
  await turn();
  expect(given[0].map(({ name }) => name)).toEqual(['Büro.bin', 'empty', 'unsized.txt']);
  given[0].forEach((file, i) => {
    expect(Buffer.from(file.bytes).equals(contents[i + 1])).toBe(true);
  });
  expect(said).toEqual(['3 files in the CD drive']);
  // Text that was copied with them is asked for as always.
  wait(200);
  expect(taken()).toEqual([pdu(4, 0, Uint8Array.of(13, 0, 0, 0))]);
});

it('waits until the client has said what text it has', () => {
  const { one, taken, wait } = channel();
  one.receive(FILES);
  wait(200);
  taken();
  expect(one.fetchFiles()).toBe(true);
  expect(taken()).toEqual([]);
  one.receive(pdu(5, 1, new PduWriter().utf16('text\0').done()));
  expect(taken()).toEqual([pdu(4, 0, Uint8Array.of(0xde, 0xc0, 0, 0))]);
});

it.each<[string, readonly Listed[]]>([
  ['there is none but folders', [{ path: 'a', isFolder: true }]],
  ['a disc takes 64 files, and these are 65', Array.from({ length: 65 }, (_, i) => ({ path: `${i}`, size: 1 }))],
  [
    'a disc holds 256 MB, and these files are larger',
    [
      { path: 'a', size: MOST_FILE_BYTES },
      { path: 'b', size: 1 },
    ],
  ],
  ['a disc holds 256 MB, and these files are larger', [{ path: 'a', size: 2 ** 40 }]],
])('refuses: %s', (why, files) => {
  const { one, said, taken } = channel();
  one.receive(FILES);
  one.fetchFiles();
  taken();
  one.receive(list(files));
  expect([said, taken()]).toEqual([[`copied files were not given to the machine: ${why}`], []]);
});

it('ends when the client cannot read them, sends too much, does not answer or copies something else', async () => {
  const begun = () => {
    const made = channel();
    made.one.receive(FILES);
    made.one.fetchFiles();
    made.taken();
    made.one.receive(list([{ path: 'a', size: 10 }]));
    const stream = new PduReader(made.taken()[0], 8).u32();
    const say = (flags: number, data: Uint8Array, id = stream): void =>
      made.one.receive(pdu(9, flags, new PduWriter().u32(id).bytes(data).done()));
    return { ...made, say };
  };
  const why = (text: string): string[] => [`copied files were not given to the machine: ${text}`];
  const unread = begun();
  unread.say(2, bytes(0));
  expect(unread.said).toEqual(why('a cannot be read'));
  unread.say(1, bytes(10));
  const large = begun();
  large.say(1, bytes(11));
  expect(large.said).toEqual(why('a has grown meanwhile'));
  const silent = begun();
  silent.say(1, bytes(10), 77);
  silent.wait(11_000);
  expect(silent.said).toEqual(why('the client does not answer'));
  const other = begun();
  other.one.receive(formats([13, '']));
  expect(other.said).toEqual(why('something else was copied meanwhile'));
  expect(other.one.fetchFiles()).toBe(false);
  await turn();
  expect([unread.given, large.given, silent.given, other.given]).toEqual([[], [], [], []]);
});

it('tells why a machine does not take them, and forgets them when somebody else copies', async () => {
  const { one, clipboard, said, answer } = channel(async () => {
    throw new CodedError('not-in', 'there is no drive');
  });
  one.receive(FILES);
  one.fetchFiles();
  one.receive(list([{ path: 'a', size: 10 }]));
  answer([bytes(10)]);
  await turn();
  expect(said).toEqual(['copied files were not given to the machine: there is no drive']);
  expect(one.fetchFiles()).toBe(true);
  clipboard.open(() => {}).put('newer');
  expect(one.fetchFiles()).toBe(false);
});

it('asks for none where the client has no streams, or files may not go', () => {
  const { one } = channel();
  one.receive(capabilities(2));
  one.receive(FILES);
  expect(one.fetchFiles()).toBe(false);
  const sent: Uint8Array[] = [];
  const ways = { fromClient: true, toClient: true, files: false };
  const taker = { take: async () => {}, say: () => {} };
  const other = new ClipboardChannel(
    new SharedClipboard(),
    ways,
    () => () => {},
    (m) => sent.push(m.slice()),
    { taker, mayGive: true, hasRoom: () => true },
  );
  other.begin();
  expect(sent[0]).toEqual(capabilities(0));
});
