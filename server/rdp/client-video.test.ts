/** Coded videos, on the wire. */
import { expect, it } from 'vitest';
import type { CodedForm, VideoPicture, VideoWatcher } from '#display/desktop/desktop.ts';
import { PaintedVideo } from '#display/desktop/painted-desktop.suite.ts';
import { MultimediaClient } from './channels/multimedia-client.suite.ts';
import { WireDynamicChannels } from './channels/wire-dynamic-channels.suite.ts';
import type { ClientSessionParts } from './client-session.ts';
import { ClientVideo, type VideoOutput } from './client-video.ts';
import { PROTOCOL } from './pdu/x224.ts';
import { connect, pair, turn } from './session-pair.suite.ts';

const AREA = { x: 50, y: 20, width: 100, height: 60 };
const KEY: VideoPicture = { form: 'h264', area: AREA, data: Uint8Array.of(0, 0, 1, 0x65, 9), isKey: true, layer: 0 };
const OTHER: VideoPicture = { ...KEY, data: Uint8Array.of(0, 0, 1, 0x41, 5), isKey: false };
/** Dynamic channels: fingers are the first one. */
const [GEOMETRY, CONTROL, DATA] = [2, 3, 4];
/** Of dynamic channels: a message in one piece. */
const DATA_COMMAND = 3;
const [UPDATE_BITMAP, BITMAP_HEADER_BYTES] = [1, 18];

/** A client by fast-path bitmaps that has all channels for videos. */
async function watching(
  parts: Partial<ClientSessionParts> = {},
  accepts: readonly number[] = [GEOMETRY, CONTROL, DATA],
) {
  const timers: (() => void)[] = [];
  const later: ClientSessionParts['later'] = (_, what) => {
    timers.push(what);
    return () => void timers.splice(timers.indexOf(what) >>> 0, 1);
  };
  const wire = { hasRoom: true };
  const send = (bytes: Uint8Array): boolean => {
    made.client.take(bytes);
    return wire.hasRoom;
  };
  const options = { protocols: PROTOCOL.ssl, channels: ['drdynvc'] };
  const made: ReturnType<typeof pair> = pair(options, { later, send, ...parts });
  const { client, desktop } = made;
  client.selectedProtocol = PROTOCOL.ssl;
  const video = new PaintedVideo();
  desktop.video = video;
  await connect(client);
  const say = (...message: number[]): void =>
    client.sendData(client.channelIds[0], Uint8Array.of(message.length, 0, 0, 0, 3, 0, 0, 0, ...message));
  /** What has come by dynamic channels, and where bitmaps have been drawn. */
  const take = () => {
    const messages: { command: number; id: number; bytes: Uint8Array }[] = [];
    const drawn: number[][] = [];
    while (client.received.length > 0) {
      if (client.received[0].kind === 'fast-path') {
        const r = client.readFastPath();
        r.skip(3);
        expect(r.u16()).toBe(UPDATE_BITMAP);
        for (let left = r.u16(); left > 0; left--) {
          drawn.push([r.u16(), r.u16(), r.u16(), r.u16()]);
          const rest = r.part(BITMAP_HEADER_BYTES - 8);
          rest.skip(8);
          r.skip(rest.u16());
        }
      } else {
        const r = client.readData();
        r.skip(8);
        const [command, id] = [r.u8() >>> 4, r.u8()];
        messages.push({ command, id, bytes: r.rest() });
      }
    }
    return { messages, drawn };
  };
  take();
  say(0x50, 0, 1, 0);
  const offered = take().messages.map(({ bytes }) => new TextDecoder().decode(bytes.subarray(0, -1)));
  for (const id of [GEOMETRY, CONTROL, DATA]) {
    if (offered.length > 1) say(0x10, id, ...(accepts.includes(id) ? [0, 0, 0, 0] : [1, 0, 0, 0x80]));
  }
  const accept = (presentation: number): void => say(0x30, CONTROL, 12, 0, 0, 0, 2, 0, 0, 0, presentation, 0, 0, 0);
  const expire = (): void => {
    for (const what of timers.splice(0)) what();
  };
  return { ...made, wire, video, offered, say, accept, take, expire };
}

it('offers channels for videos where there may be any', async () => {
  const { offered, video, session } = await watching();
  expect(offered).toEqual([
    'Microsoft::Windows::RDS::Input',
    'Microsoft::Windows::RDS::Geometry::v08.01',
    'Microsoft::Windows::RDS::Video::Control::v08.01',
    'Microsoft::Windows::RDS::Video::Data::v08.01',
    'TSMF',
  ]);
  expect(video.watchers.size).toBe(1);
  session.lost();
  expect(video.watchers.size).toBe(0);
  const without = await watching({ videoQuality: undefined });
  expect(without.offered).toHaveLength(1);
  const blind = await watching({ disabled: { display: true, input: false, audio: false } });
  expect(blind.offered).toHaveLength(1);
  // A client that has no use for pictures, or cannot say so: the screen is all that it gets.
  const few = await watching({}, [GEOMETRY, DATA]);
  expect([few.offered.length, few.video.watchers.size]).toEqual([5, 0]);
});

it('shows a video over the screen, draws around it alone, and draws what was under it when it is over', async () => {
  const { desktop, video, accept, take, expire } = await watching();
  video.show(KEY);
  expect(take().messages.map(({ id }) => id)).toEqual([GEOMETRY, CONTROL]);
  desktop.paint(70, 30, 10, 10, 0xffffff);
  await turn();
  // Until the client shows it, there is the screen.
  expect(take().drawn).toEqual([[70, 30, 79, 39]]);
  accept(1);
  const [first, ...more] = take().messages;
  expect([first.id, [...first.bytes.subarray(40)], more]).toEqual([DATA, [0, 0, 1, 0x65, 9], []]);
  desktop.paint(70, 30, 10, 10, 0x00ff00);
  await turn();
  expect(take()).toEqual({ messages: [], drawn: [] });
  // In the squares of the screen, above it and to its left.
  desktop.paint(40, 10, 30, 30, 0xff0000);
  await turn();
  expect(take().drawn).toEqual([
    [40, 10, 63, 19],
    [40, 20, 49, 39],
    [64, 10, 69, 19],
  ]);
  video.show(OTHER);
  expect(take().messages.map(({ id }) => id)).toEqual([DATA]);
  video.end();
  await turn();
  expect(take()).toEqual({ messages: [], drawn: [] });
  expire();
  await turn();
  const { messages, drawn } = take();
  expect(messages.map(({ id }) => id)).toEqual([CONTROL, GEOMETRY]);
  const pixels = drawn.reduce((sum, [left, top, right, bottom]) => sum + (right - left + 1) * (bottom - top + 1), 0);
  expect(pixels).toBe(AREA.width * AREA.height);
});

it('begins with a key picture again when pictures were lost on a client that wanted none or had no room', async () => {
  const { client, session, wire, video, accept, take } = await watching();
  video.show(KEY);
  accept(1);
  take();
  const shows = (picture: VideoPicture): boolean => {
    video.show(picture);
    return take().messages.length > 0;
  };
  expect([shows(OTHER), video.keysWanted]).toEqual([true, 0]);
  client.sendShareData(0x23, Uint8Array.of(0, 0, 0, 0));
  expect(shows(OTHER)).toBe(false);
  client.sendShareData(0x23, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 200, 0, 100, 0));
  expect([shows(OTHER), video.keysWanted, shows(KEY), shows(OTHER)]).toEqual([false, 1, true, true]);
  wire.hasRoom = false;
  expect([shows(OTHER), shows(OTHER)]).toEqual([true, false]);
  wire.hasRoom = true;
  session.onDrain();
  expect([shows(OTHER), video.keysWanted, shows(KEY)]).toEqual([false, 2, true]);
});

it('shows a video of JPEG to a client that has nothing else, over the screen as well', async () => {
  const { client: made, desktop, video, say, take, expire } = await watching({}, []);
  const client = new MultimediaClient();
  const channels = new WireDynamicChannels(
    made,
    (name) => name === 'TSMF',
    (channel, _, message) => client.take(channel, message),
  );
  const settle = (): void => channels.settle();
  say(0x10, DATA + 1, 0, 0, 0, 0);
  settle();
  expect([...video.watchers].map(({ form }) => form)).toEqual(['jpeg']);
  const jpeg: VideoPicture = { ...KEY, form: 'jpeg', data: Uint8Array.of(0xff, 0xd8, 7) };
  video.show(jpeg);
  settle();
  expect(client.said.slice(-2)).toEqual(['9: at 50,20 100x60 (0,0,60,100)', '9: play']);
  desktop.paint(70, 30, 10, 10, 0x00ff00);
  await turn();
  expect(take().drawn).toEqual([[70, 30, 79, 39]]);
  video.show(jpeg);
  settle();
  expect(client.shown.map(({ data }) => data)).toEqual([[0xff, 0xd8, 7]]);
  desktop.paint(70, 30, 10, 10, 0xff0000);
  await turn();
  expect(take()).toEqual({ messages: [], drawn: [] });
  video.end();
  expire();
  await turn();
  const { messages, drawn } = take();
  const pixels = drawn.reduce((sum, [left, top, right, bottom]) => sum + (right - left + 1) * (bottom - top + 1), 0);
  expect(pixels).toBe(AREA.width * AREA.height);
  for (const { command, id, bytes } of messages) if (command === DATA_COMMAND) client.take(id, bytes);
  expect(client.said.slice(-3)).toEqual(['9: stop', '9: no stream 1', '9: shut down']);
});

it('goes by the graphics pipeline rather than by channels of its own, and ends on one when it goes on by the other', () => {
  const watchers = new Set<VideoWatcher>();
  const source = {
    watch: (watcher: VideoWatcher) => {
      watchers.add(watcher);
      return { wantKey: () => {}, close: () => void watchers.delete(watcher) };
    },
  };
  const said: string[] = [];
  const output = (name: string, form: CodedForm = 'h264'): VideoOutput => ({
    form,
    showVideo: () => said.push(name),
    endVideo: () => said.push(`no ${name}`),
  });
  const [channels, pipeline] = [output('channels'), output('pipeline')];
  const video = new ClientVideo(source, (_, put) => put(true));
  const show = (): void => {
    for (const watcher of watchers) watcher.picture(KEY);
  };
  video.set('redirection', channels);
  show();
  video.set('pipeline', pipeline);
  show();
  video.set('redirection', undefined);
  show();
  video.set('pipeline', undefined);
  expect(said.splice(0)).toEqual(['channels', 'no channels', 'pipeline', 'pipeline', 'no pipeline']);
  expect(watchers.size).toBe(0);
  // Another form has to be asked for anew.
  const forms = (): string[] => [...watchers].map(({ form }) => form);
  video.set('multimedia', output('multimedia', 'jpeg'));
  expect(forms()).toEqual(['jpeg']);
  video.set('redirection', channels);
  expect([forms(), said]).toEqual([['h264'], ['no multimedia']]);
});
