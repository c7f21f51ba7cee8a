import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MAX_CLIPBOARD_TEXT, SharedClipboard } from '#display/desktop/shared-clipboard.ts';
import { PduError, PduWriter } from '../pdu/bytes.ts';
import { ClipboardChannel, type ClipboardWays } from './clipboard.ts';

const BOTH: ClipboardWays = { fromClient: true, toClient: true };
const TEXT_FORMAT = 13;

const pdu = (type: number, flags: number, body: Uint8Array = new Uint8Array(0)): Uint8Array =>
  new PduWriter().u16(type).u16(flags).u32(body.length).bytes(body).done();
/** [MS-RDPECLIP] 2.2.3.1.1.1: identifiers with names of 32 bytes. */
const formats = (...ids: number[]): Uint8Array => {
  const w = new PduWriter();
  for (const id of ids) w.u32(id).zeros(32);
  return pdu(2, 0, w.done());
};
const data = (text: string): Uint8Array => pdu(5, 1, new PduWriter().utf16(`${text}\0`).done());
const FORMATS_TAKEN = pdu(3, 1);
const REQUEST = pdu(4, 0, Uint8Array.of(TEXT_FORMAT, 0, 0, 0));

function channel(ways = BOTH) {
  const clipboard = new SharedClipboard();
  const heard: string[] = [];
  const other = clipboard.open((text) => heard.push(text));
  const sent: Uint8Array[] = [];
  const due = new Map<() => void, number>();
  let now = 0;
  const one = new ClipboardChannel(
    clipboard,
    ways,
    (ms, what) => {
      due.set(what, now + ms);
      return () => due.delete(what);
    },
    (message) => sent.push(message.slice()),
  );
  /** Lets time go by. */
  const wait = (ms: number): void => {
    now += ms;
    for (const [what, at] of due) {
      if (at > now) continue;
      due.delete(what);
      what();
    }
  };
  /** What was sent since the last time. */
  const taken = (): Uint8Array[] => sent.splice(0);
  return { clipboard, heard, other, one, wait, taken };
}

it('fetches what the client copies', () => {
  const { one, heard, wait, taken } = channel();
  one.begin();
  // [MS-RDPECLIP] 2.2.2.1, 2.2.2.2: one general capability set of 12 bytes; the monitor is ready.
  expect(taken()).toEqual([
    Uint8Array.of(7, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 12, 0, 2, 0, 0, 0, 0, 0, 0, 0),
    pdu(1, 0),
  ]);
  one.receive(formats(1, TEXT_FORMAT));
  expect(taken()).toEqual([FORMATS_TAKEN]);
  wait(200);
  expect(taken()).toEqual([REQUEST]);
  one.receive(data('Grüße\r\n𝄞'));
  expect(heard).toEqual(['Grüße\n𝄞']);
  one.receive(formats(2));
  expect(taken()).toEqual([FORMATS_TAKEN]);
});

it('offers what others copy, and gives it when it is asked for', () => {
  const { one, other, taken } = channel();
  one.begin();
  one.receive(formats());
  taken();
  other.put('eins\nzwei');
  expect(taken()).toEqual([formats(TEXT_FORMAT)]);
  one.receive(FORMATS_TAKEN);
  one.receive(REQUEST);
  expect(taken()).toEqual([data('eins\r\nzwei')]);
  one.receive(pdu(4, 0, Uint8Array.of(1, 0, 0, 0)));
  expect(taken()).toEqual([pdu(5, 2)]);
  one.receive(formats(2));
  taken();
  one.receive(REQUEST);
  expect(taken()).toEqual([pdu(5, 2)]);
});

it('leaves a client alone whose clipboard is what others have copied', () => {
  const { one, other, heard, wait, taken } = channel();
  one.begin();
  one.receive(formats());
  one.receive(formats(TEXT_FORMAT));
  taken();
  other.put('newer');
  // Its list was on its way before ours came.
  one.receive(formats(TEXT_FORMAT));
  one.receive(FORMATS_TAKEN);
  wait(60_000);
  expect(taken()).toEqual([formats(TEXT_FORMAT), FORMATS_TAKEN]);
  one.receive(REQUEST);
  expect([heard, taken()]).toEqual([[], [data('newer')]]);
});

it('asks ever more seldom where each answer is followed by the same formats, and at once where the text is another', () => {
  const { one, heard, wait, taken } = channel();
  one.begin();
  one.receive(formats(TEXT_FORMAT));
  let asked = 0;
  for (let ms = 0; ms < 60_000; ms += 50) {
    wait(50);
    if (!taken().some((message) => message[0] === 4)) continue;
    asked++;
    one.receive(data('the same'));
    one.receive(formats(TEXT_FORMAT));
  }
  expect(asked).toBeLessThan(60);
  wait(60_000);
  one.receive(data('another'));
  one.receive(formats(TEXT_FORMAT));
  taken();
  wait(100);
  expect(taken()).toEqual([REQUEST]);
  expect(heard).toEqual(['the same', 'another']);
});

it('tells a client that comes later', () => {
  const { one, other, taken } = channel();
  other.put('before');
  one.begin();
  taken();
  one.receive(formats());
  expect(taken()).toEqual([FORMATS_TAKEN, formats(TEXT_FORMAT)]);
});

it('asks one thing at a time, and in the end for the last of many copies', () => {
  const { one, heard, wait, taken } = channel();
  one.begin();
  taken();
  for (let i = 0; i < 100; i++) {
    one.receive(formats(TEXT_FORMAT));
    wait(i === 50 ? 200 : 1);
  }
  expect(taken().filter((message) => message[0] === 4)).toHaveLength(1);
  one.receive(data('an early one'));
  wait(200);
  expect(taken()).toEqual([REQUEST]);
  one.receive(data('the last one'));
  expect([heard, taken()]).toEqual([['the last one'], []]);
});

it('asks a client again that says it has nothing, or nothing at all, and not for ever', () => {
  const { one, heard, wait, taken } = channel();
  one.begin();
  one.receive(formats(TEXT_FORMAT));
  taken();
  wait(200);
  one.receive(pdu(5, 2));
  wait(200);
  wait(60_000);
  wait(400);
  expect(taken()).toEqual([REQUEST, REQUEST, REQUEST]);
  one.receive(data('at last'));
  expect(heard).toEqual(['at last']);
  one.receive(formats(TEXT_FORMAT));
  taken();
  for (let i = 0; i < 100; i++) {
    wait(1000);
    one.receive(pdu(5, 2));
  }
  expect(taken().length).toBeLessThan(10);
});

it('tells a client again that has not said that it was told', () => {
  const { one, other, wait, taken } = channel();
  one.begin();
  one.receive(formats());
  taken();
  other.put('one');
  other.put('two');
  expect(taken()).toEqual([formats(TEXT_FORMAT)]);
  wait(60_000);
  expect(taken()).toEqual([formats(TEXT_FORMAT)]);
  one.receive(REQUEST);
  expect(taken()).toEqual([data('two')]);
});

it('lets nothing pass where it was not allowed', () => {
  const into = channel({ fromClient: true, toClient: false });
  into.one.begin();
  into.one.receive(formats(TEXT_FORMAT));
  into.wait(200);
  into.one.receive(data('in'));
  into.other.put('out');
  expect(into.heard).toEqual(['in']);
  into.taken();
  into.one.receive(REQUEST);
  expect(into.taken()).toEqual([pdu(5, 2)]);

  const out = channel({ fromClient: false, toClient: true });
  out.one.begin();
  out.taken();
  out.one.receive(formats(TEXT_FORMAT));
  out.wait(200);
  expect(out.taken()).toEqual([FORMATS_TAKEN]);
  out.one.receive(data('not asked for'));
  expect(out.heard).toEqual([]);
});

it('does not share what is too long, and keeps what was there', () => {
  const { one, clipboard, other, wait } = channel();
  one.begin();
  one.receive(formats(TEXT_FORMAT));
  other.put('short');
  wait(200);
  one.receive(data('x'.repeat(MAX_CLIPBOARD_TEXT + 1)));
  expect(clipboard.text).toBe('short');
});

it('takes any bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(12), fc.uint8Array({ maxLength: 90 })), { maxLength: 20 }), (messages) => {
      const { one } = channel();
      one.begin();
      try {
        for (const [type, rest] of messages) one.receive(Uint8Array.of(type, 0, ...rest));
        for (const [type, rest] of messages) one.receive(pdu(type, 1, rest));
      } catch (cause) {
        if (!(cause instanceof PduError)) throw cause;
      }
    }),
  );
});
