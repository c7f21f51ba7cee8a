import { expect, it } from 'vitest';
import type { VideoPicture } from '#display/desktop/desktop.ts';
import type { Rect } from '#display/raster/rects.ts';
import { VideoRedirection } from './video-redirection.ts';

const AREA: Rect = { x: 10, y: 20, width: 64, height: 48 };
const picture = (more: Partial<VideoPicture> = {}): VideoPicture => ({
  ...{
    form: 'h264' as const,
    area: AREA,
    data: Uint8Array.of(0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 2),
    isKey: true,
    layer: 0,
  },
  ...more,
});
const other = picture({ isKey: false, data: Uint8Array.of(0, 0, 1, 0x41, 3) });
const accepted = (id: number): Uint8Array => Uint8Array.of(12, 0, 0, 0, 2, 0, 0, 0, id, 0, 0, 0);
const notified = (id: number, type: number, ...data: number[]): Uint8Array =>
  Uint8Array.of(16 + data.length, 0, 0, 0, 3, 0, 0, 0, id, type, 0, 0, data.length, 0, 0, 0, ...data);
const rate = (id: number, flags: number, wanted: number): Uint8Array =>
  notified(id, 2, flags, 0, 0, 0, wanted, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

function client() {
  const said: string[] = [];
  const timers: { at: number; what: () => void }[] = [];
  const events: string[] = [];
  const place = ({ x, y, width, height }: Rect): string => `${x},${y} ${width}x${height}`;
  let now = 1000;
  const redirection = new VideoRedirection({
    nowMs: () => now,
    later: (ms, what) => {
      const timer = { at: now + ms, what };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer) >>> 0, 1);
    },
    screen: () => ({ width: 640, height: 480 }),
    onReady: () => events.push('ready'),
    onRefused: () => events.push('refused'),
    wantKey: () => events.push('key'),
    onUncovered: (area) => events.push(`draw ${place(area)}`),
  });
  const [geometry, control, data] = redirection.channels;
  const open = (): void => {
    geometry.opened((message) => {
      const { buffer, byteOffset } = message;
      const at = new DataView(buffer, byteOffset);
      const [id, type, x, y] = [8, 16, 32, 36].map((from) => at.getUint32(from, true));
      said.push(type === 1 ? `place ${id}: ${x},${y}` : `no place ${id}`);
    });
    control.opened((message) => said.push(`${message[10] === 1 ? 'start' : 'stop'} ${message[8]} at ${message[40]}`));
    data.opened((message) => said.push(`picture ${message[8]}.${message[32]} ${message[message.length - 1]}`));
  };
  const pass = (ms: number): void => {
    now += ms;
    for (const timer of timers.filter(({ at }) => at <= now)) {
      timers.splice(timers.indexOf(timer), 1);
      timer.what();
    }
  };
  const take = (): string[] => said.splice(0);
  return { redirection, open, geometry, control, data, pass, take, events, timers };
}

it('is there when all channels are, and not when one is missing', () => {
  const { redirection, geometry, control, data, events } = client();
  expect(redirection.channels.map(({ name }) => name)).toEqual([
    'Microsoft::Windows::RDS::Geometry::v08.01',
    'Microsoft::Windows::RDS::Video::Control::v08.01',
    'Microsoft::Windows::RDS::Video::Data::v08.01',
  ]);
  for (const channel of [control, geometry]) channel.opened(() => {});
  expect([redirection.isReady, events]).toEqual([false, []]);
  data.opened(() => {});
  expect([redirection.isReady, events]).toEqual([true, ['ready']]);
  control.closed();
  data.closed();
  expect([redirection.isReady, events]).toEqual([false, ['ready', 'refused']]);
});

it('sends pictures once the client has accepted the presentation, those that came before that first', () => {
  const { redirection, open, control, take, events } = client();
  redirection.showVideo(picture(), true);
  open();
  redirection.showVideo(picture(), true);
  redirection.showVideo(other, true);
  expect([take(), redirection.covered]).toEqual([['place 1: 10,20', 'start 1 at 1'], undefined]);
  control.received(accepted(2));
  expect(take()).toEqual([]);
  control.received(accepted(1));
  control.received(accepted(1));
  expect([take(), redirection.covered]).toEqual([['picture 1.1 2', 'picture 1.2 3'], AREA]);
  // Elsewhere, the same presentation goes on, and the screen is drawn where it was.
  redirection.showVideo({ ...other, area: { ...AREA, x: 100 } }, true);
  expect(take()).toEqual(['place 1: 100,20', 'picture 1.3 3']);
  expect(events).toEqual(['ready', 'draw 10,20 64x48']);
  // Of another size, it is another one.
  redirection.showVideo(picture({ area: { ...AREA, width: 80 } }), true);
  expect(take()).toEqual(['stop 1 at 1', 'no place 1', 'place 2: 10,20', 'start 2 at 2']);
  expect([events.at(-1), redirection.covered]).toEqual(['draw 100,20 64x48', undefined]);
  // What would lie outside of the screen is not shown.
  redirection.showVideo(picture({ area: { ...AREA, x: 600 } }), true);
  expect(take()).toEqual([]);
});

it('stays for a moment when it has ended, since another coder may go on', () => {
  const { redirection, open, control, pass, take, events, timers } = client();
  open();
  redirection.endVideo();
  redirection.showVideo(picture(), true);
  control.received(accepted(1));
  redirection.endVideo();
  redirection.endVideo();
  pass(30);
  redirection.showVideo(picture(), true);
  pass(60);
  expect([take().length, events]).toEqual([4, ['ready']]);
  redirection.endVideo();
  pass(30);
  expect([take(), redirection.covered]).toEqual([[], AREA]);
  pass(30);
  expect([take(), redirection.covered]).toEqual([['stop 1 at 1', 'no place 1'], undefined]);
  expect([events, timers]).toEqual([['ready', 'draw 10,20 64x48'], []]);
  // The next one begins with a key picture.
  redirection.showVideo(other, true);
  expect([take(), events.at(-1)]).toEqual([[], 'key']);
  redirection.showVideo(picture(), true);
  expect(take()).toEqual(['place 2: 10,20', 'start 2 at 2']);
});

it('gives up when the client does not accept a presentation, and keeps few pictures until then', () => {
  const { redirection, open, control, pass, take, events } = client();
  open();
  redirection.showVideo(picture(), true);
  for (let i = 0; i < 100; i++) redirection.showVideo(other, true);
  // Those that do not wait are missed: nothing that builds upon them would be of use.
  expect(events.filter((event) => event === 'key')).toEqual([]);
  take();
  control.received(accepted(1));
  expect(take()).toHaveLength(32);
  redirection.showVideo(other, true);
  expect([take(), events.at(-1)]).toEqual([[], 'key']);
  redirection.showVideo(picture({ area: { ...AREA, height: 50 } }), true);
  take();
  pass(2900);
  expect(events.at(-1)).not.toBe('refused');
  pass(200);
  expect([events.at(-1), redirection.isReady]).toEqual(['refused', false]);
  expect(take()).toEqual(['stop 2 at 2', 'no place 2']);
  redirection.showVideo(picture(), true);
  control.received(accepted(2));
  expect(take()).toEqual([]);
});

it('leaves out what the client does not want or cannot use', () => {
  const { redirection, open, control, pass, take, events } = client();
  open();
  redirection.showVideo(picture(), true);
  control.received(accepted(1));
  take();
  const shown = (layer: number, hasRoom = true): boolean => {
    redirection.showVideo({ ...other, layer }, hasRoom);
    return take().length > 0;
  };
  const inASecond = (): number => {
    let count = 0;
    for (let i = 0; i < 30; i++) {
      pass(1000 / 30);
      if (shown(i & 1)) count++;
    }
    return count;
  };
  expect(inASecond()).toBe(30);
  control.received(rate(1, 2, 20));
  const count = inASecond();
  expect([count >= 18, count <= 21]).toEqual([true, true]);
  // Those that others build upon go out whatever it says, and so do all of another presentation.
  control.received(rate(1, 2, 1));
  expect(inASecond()).toBe(15);
  control.received(rate(2, 2, 30));
  expect(inASecond()).toBe(15);
  control.received(rate(1, 1, 0));
  pass(1000);
  expect(inASecond()).toBe(30);
  // Slow, or it has lost something.
  expect([shown(1, false), shown(0), events.at(-1)]).toEqual([false, true, 'ready']);
  expect([shown(0, false), shown(0), events.at(-1)]).toEqual([false, false, 'key']);
  redirection.showVideo(picture(), true);
  expect(take()).toHaveLength(1);
  control.received(notified(1, 1));
  expect(shown(0)).toBe(false);
  redirection.showVideo(picture(), true);
  expect(take()).toHaveLength(1);
});

it('numbers presentations from 1 to 255, over and over', () => {
  const { redirection, open, control, pass, take } = client();
  open();
  const starts: string[] = [];
  for (let i = 0; i < 257; i++) {
    redirection.showVideo(picture(), true);
    control.received(accepted((i % 255) + 1));
    redirection.endVideo();
    pass(100);
    starts.push(...take().filter((one) => one.startsWith('start') || one.startsWith('picture')));
  }
  expect(starts.slice(-6)).toEqual([
    ...['start 255 at 255', 'picture 255.1 2', 'start 1 at 0', 'picture 1.1 2', 'start 2 at 1', 'picture 2.1 2'],
  ]);
});
