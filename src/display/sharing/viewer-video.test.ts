/** A video on its way to a viewer by two ways at once, as while a direct connection takes over. */
import { expect, it } from 'vitest';
import { type BodyOf, encodeMessage, type MessageName, RELAY_VERSION } from '../stream/messages.ts';
import { NO_VIDEO } from '../stream/video-forms.ts';
import { Viewer } from './viewer.ts';

/** The relay's end, as far as it talks. */
class TalkingSocket extends EventTarget {
  readonly readyState = 1;
  binaryType = '';
  readonly sent: Uint8Array[] = [];

  send(message: Uint8Array): void {
    this.sent.push(message);
  }
  close(): void {}
  say<N extends MessageName>(name: N, body: BodyOf<N>): void {
    this.dispatchEvent(new MessageEvent('message', { data: encodeMessage(name, body).buffer }));
  }
}

it('is shown once, and never again what has been', async () => {
  const socket = new TalkingSocket();
  const shown: (number | 'end')[] = [];
  const viewer = new Viewer({
    ...{ base: 'http://127.0.0.1/', token: 't', name: 'Ann', key: '', onKey: () => {} },
    newSocket: () => socket as unknown as WebSocket,
    video: {
      forms: { ...NO_VIDEO, h264: true },
      take: ({ number }) => shown.push(number),
      end: () => shown.push('end'),
      drawn: () => {},
    },
  });
  await new Promise((resolve) => setTimeout(resolve));
  const picture = (number: number, isKey: boolean): void => {
    const place = { x: 0, y: 0, width: 2, height: 2 };
    socket.say('video', { number, form: 'h264', ...place, isKey, layer: 0, data: new Uint8Array(1) });
  };
  socket.say('welcome', { version: RELAY_VERSION, participant: 1, role: 'view', machine: 'M', key: 'k' });
  expect(shown.splice(0)).toEqual(['end']);
  picture(1, true);
  picture(2, false);
  socket.say('videoEnd', {});
  // The slower way says the same, and then there is no end of a video that has none.
  picture(1, true);
  picture(2, false);
  expect(shown).toEqual([1, 2, 'end']);
  picture(3, true);
  expect(shown.at(-1)).toBe(3);
  viewer.close();
});
