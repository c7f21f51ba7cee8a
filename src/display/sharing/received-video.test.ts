import { describe, expect, it } from 'vitest';
import type { VideoForm } from '../stream/messages.ts';
import { type MadeVideoDecoder, ReceivedVideo } from './received-video.ts';

const SCREEN = { width: 8, height: 8, pixels: new Uint32Array(64) };
const AREA = { x: 2, y: 2, width: 4, height: 4 };

function bench() {
  const log: string[] = [];
  /** What comes out later, by the picture's number. */
  const late = new Map<number, () => void>();
  let fails: 'open' | 'decode' | undefined;
  let breaks: (() => void) | undefined;
  const decoder: MadeVideoDecoder = {
    forms: ['h264', 'jpeg'],
    open(form, width, height, onPicture, onBroken) {
      if (fails === 'open') throw new Error('not here');
      log.push(`open ${form}`);
      breaks = onBroken;
      return {
        decode: ({ number }) => {
          if (fails === 'decode') throw new Error('closed');
          late.set(number, () => onPicture(new Uint32Array(width * height).fill(number), number));
        },
        close: () => log.push(`close ${form}`),
      };
    },
  };
  const screen = { ...SCREEN, pixels: new Uint32Array(64) };
  const video: ReceivedVideo = new ReceivedVideo({
    ...{ decoder: () => decoder, picture: () => screen, onShown: () => log.push('shown') },
    onBroken: () => log.push(`shows ${Object.entries(video.forms).flatMap(([form, can]) => (can ? form : []))}`),
    onLost: () => log.push('lost'),
  });
  const take = (number: number, isKey = false, form: VideoForm = 'h264'): void =>
    video.take({ ...AREA, ...{ number, form, isKey, layer: 0, data: new Uint8Array(4) } });
  const come = (number: number): void => late.get(number)?.();
  return {
    ...{ video, take, come, log, at: (x: number, y: number) => screen.pixels[y * 8 + x] },
    fail: (how: typeof fails) => {
      fails = how;
    },
    break: () => breaks?.(),
  };
}

describe('a video that comes', () => {
  it('shows in its place, and nothing that an earlier decoder had still in hand shows over it', () => {
    const { take, come, log, at, video } = bench();
    take(1, true);
    take(2);
    come(1);
    expect([at(2, 2), at(5, 5), at(1, 2), at(6, 5)]).toEqual([1, 1, 0, 0]);
    take(3, true, 'jpeg');
    come(2);
    expect(at(2, 2)).toBe(1);
    come(3);
    expect(at(2, 2)).toBe(3);
    video.end();
    take(4, true, 'jpeg');
    video.end();
    come(4);
    expect(at(2, 2)).toBe(3);
    expect(log.filter((line) => /open|close/.test(line))).toEqual([
      ...['open h264', 'close h264', 'open jpeg', 'close jpeg', 'open jpeg', 'close jpeg'],
    ]);
  });

  it('is asked for from its beginning when that is missing', () => {
    const { take, log, video } = bench();
    take(1);
    expect(log).toEqual(['lost']);
    take(2, true);
    video.end();
    take(3);
    expect(log).toEqual(['lost', 'open h264', 'close h264', 'lost']);
  });

  it('of a form that cannot be shown is left alone', () => {
    const { take, log } = bench();
    take(1, true, 'vp8');
    take(2, false, 'vp8');
    expect(log).toEqual([]);
  });

  it.each(['open', 'decode', 'later'] as const)('comes in another form once its decoder has failed (%s)', (how) => {
    const { take, log, fail, break: breaks } = bench();
    if (how === 'later') {
      take(1, true);
      breaks();
      breaks();
    } else {
      fail(how);
      take(1, true);
    }
    expect(log.filter((line) => line.startsWith('shows'))).toEqual(['shows jpeg']);
    take(2, true);
    expect(log.filter((line) => line.startsWith('open')).length).toBeLessThan(2);
    fail(undefined);
    take(3, true, 'jpeg');
    expect(log.at(-1)).toBe('open jpeg');
  });
});
