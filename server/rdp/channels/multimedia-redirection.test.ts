import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { VideoPicture } from '#display/desktop/desktop.ts';
import type { Rect } from '#display/raster/rects.ts';
import { PduError } from '../pdu/bytes.ts';
import type { DynamicChannel } from './dynamic-channels.ts';
import { type Dislikes, MultimediaClient } from './multimedia-client.suite.ts';
import { MultimediaRedirection } from './multimedia-redirection.ts';

const AREA: Rect = { x: 10, y: 20, width: 64, height: 48 };
const picture = (data: number, area = AREA): VideoPicture => ({
  ...{ form: 'jpeg', area, data: Uint8Array.of(0xff, 0xd8, data), isKey: true, layer: 1 },
});

function playing(dislikes: Dislikes = {}, hasChannel = true) {
  const client = new MultimediaClient(dislikes);
  const events: string[] = [];
  const channels = new Map<number, DynamicChannel>();
  const timers: { at: number; what: () => void }[] = [];
  const inbox: (() => void)[] = [];
  let [now, lastChannel, lastId] = [0, 0, 0];
  const redirection = new MultimediaRedirection({
    nowMs: () => now,
    later: (ms, what) => {
      const timer = { at: now + ms, what };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer) >>> 0, 1);
    },
    random: (count) => new Uint8Array(count).fill(++lastId),
    screen: () => ({ width: 640, height: 480 }),
    open: (channel) => {
      const number = ++lastChannel;
      channels.set(number, channel);
      if (!hasChannel) inbox.push(() => channel.closed());
      else
        inbox.push(() =>
          channel.opened((message) => {
            inbox.push(() => {
              const answer = client.take(number, message);
              if (answer) channels.get(number)?.received(answer);
            });
          }),
        );
      return () => channels.delete(number);
    },
    onReady: () => events.push('ready'),
    onRefused: () => events.push('refused'),
    onUncovered: ({ x, y, width, height }) => events.push(`draw ${x},${y} ${width}x${height}`),
  });
  const settle = (): void => {
    for (let next = inbox.shift(); next; next = inbox.shift()) next();
  };
  const acknowledge = (): void => {
    for (const { channel, message } of client.acknowledge()) channels.get(channel)?.received(message);
  };
  const pass = (ms: number): void => {
    now += ms;
    for (const timer of timers.filter(({ at }) => at <= now)) {
      timers.splice(timers.indexOf(timer), 1);
      timer.what();
    }
    settle();
  };
  const show = (data: number, area?: Rect, hasRoom = true): void => {
    redirection.showVideo(picture(data, area), hasRoom);
    settle();
  };
  const take = (): string[] => client.said.splice(0);
  const shown = (): number[] => client.shown.splice(0).map(({ data }) => data[2]);
  redirection.begin();
  settle();
  return { redirection, client, channels, events, timers, acknowledge, pass, show, take, shown };
}

it('asks whether the client shows JPEG, and plays a presentation of one stream', () => {
  const { redirection, client, channels, events, pass, show, take, shown, timers } = playing();
  expect([take(), events, channels.size]).toEqual([['can you vids MJPG MJPG 640x360?'], ['ready'], 0]);
  show(1);
  expect(take()).toEqual([
    '2: new on 2',
    'can you vids MJPG MJPG 64x48?',
    '2: stream 1 vids MJPG MJPG 64x48',
    '2: topology',
    '2: window',
    '2: at 10,20 64x48 (0,0,48,64)',
    '2: play',
  ]);
  // The picture that it began with was too early; none needs it.
  expect([shown(), redirection.covered, channels.size]).toEqual([[], undefined, 2]);
  show(2);
  expect([client.shown[0].extensions, shown(), redirection.covered]).toEqual([0x81, [2], AREA]);
  show(3, { ...AREA, x: 100 });
  expect([take(), shown()]).toEqual([['2: at 100,20 64x48 (0,0,48,64)'], [3]]);
  expect(events).toEqual(['ready', 'draw 10,20 64x48']);
  redirection.endVideo();
  pass(30);
  expect(take()).toEqual([]);
  pass(30);
  expect([take(), channels.size, timers]).toEqual([['2: stop', '2: no stream 1', '2: shut down'], 0, []]);
  expect([events.at(-1), redirection.covered]).toEqual(['draw 100,20 64x48', undefined]);
  // The next one is another presentation; so is one of another size.
  show(4);
  show(5, { ...AREA, width: 80 });
  const names = take().filter((one) => one.includes('new') || one.includes('shut'));
  expect(names).toEqual(['3: new on 2', '3: shut down', '4: new on 2']);
  show(6, { ...AREA, x: 600 });
  expect(take()).toEqual([]);
});

it('sends no more than the client shows, and nothing while it has no room', () => {
  const { show, shown, acknowledge } = playing();
  show(0);
  for (let i = 1; i < 10; i++) show(i);
  expect(shown()).toEqual([1, 2, 3, 4]);
  acknowledge();
  show(10, AREA, false);
  show(11);
  expect(shown()).toEqual([11]);
});

it.each([
  ['that does not have the channel', {}, false],
  ['of another version', { interface: true }, true],
  ['that cannot show JPEG', { format: true }, true],
])('leaves a client alone %s', (_, dislikes, hasChannel) => {
  const { events, show, take, shown } = playing(dislikes, hasChannel);
  take();
  show(1);
  show(2);
  expect([events, take(), shown()]).toEqual([[], [], []]);
});

it('gives up on a client that does not begin, or ends a presentation by itself', () => {
  const disliking = playing({ topology: true });
  disliking.show(1);
  expect(disliking.events).toEqual(['ready', 'refused']);
  const leaving = playing();
  leaving.show(1);
  leaving.show(2);
  const [control] = [...leaving.channels.values()];
  leaving.take();
  control.closed();
  leaving.pass(0);
  expect(leaving.events).toEqual(['ready', 'draw 10,20 64x48', 'refused']);
  leaving.show(3);
  expect(leaving.shown()).toEqual([2]);
  const slow = playing();
  slow.redirection.showVideo(picture(1), true);
  // Nothing of it has been looked at.
  slow.timers[0].what();
  expect(slow.events).toEqual(['ready', 'refused']);
});

it('whatever a client answers ends in a PduError at worst', () => {
  const message = fc.uint8Array({ maxLength: 48 }).map((bytes) => {
    if (bytes.length >= 8)
      bytes.set(
        [
          [2, 0, 0, 0],
          [0, 0, 0, 0x80],
          [1, 0, 0, 0x40],
        ][bytes[0] % 3],
      );
    if (bytes.length >= 8) bytes.set([bytes[4] % 6, 0, 0, 0], 4);
    return bytes;
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), (messages) => {
      const { show, channels, pass } = playing();
      show(1);
      show(2);
      for (const bytes of messages) {
        for (const channel of [...channels.values()]) {
          try {
            channel.received(bytes);
          } catch (cause) {
            if (!(cause instanceof PduError)) throw cause;
          }
        }
      }
      pass(6000);
    }),
    { numRuns: 60 },
  );
});
