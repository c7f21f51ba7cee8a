import { describe, expect, it } from 'vitest';
import { PictureFan, type VideoHead } from './picture-fan.ts';

const message = new Uint8Array(1000);
/** Two layers, as coders make them: every second picture is needed by no other. */
const picture = (number: number, isKey = false): VideoHead => ({
  ...{ number, form: 'h264', isKey },
  layer: isKey ? 0 : number & 1,
});

function fanWith(...names: string[]) {
  let asked = 0;
  const fan = new PictureFan({ refresh: () => {}, wantKey: () => asked++ });
  const viewers = names.map((name) => {
    const got: number[] = [];
    const feed = fan.open(() => got.push(current), 1);
    return { name, got, feed };
  });
  let current = 0;
  const send = (head: VideoHead): void => {
    current = head.number;
    fan.video(message, head);
  };
  return { fan, viewers, send, asked: () => asked };
}

describe('a video for several viewers', () => {
  it('comes whole to those who keep up, and without the layer that can be left out to those who lag', () => {
    const { viewers, send } = fanWith('quick', 'slow');
    const [quick, slow] = viewers;
    send(picture(2, true));
    for (let number = 3; number <= 30; number++) {
      send(picture(number));
      quick.feed.videoAck(number);
      // Four are always on their way.
      slow.feed.videoAck(number - 4);
    }
    expect(quick.got).toHaveLength(29);
    expect(slow.got.length).toBeGreaterThan(12);
    expect(slow.got.length).toBeLessThan(22);
    // Nothing that others build upon is missing.
    expect(slow.got.filter((number) => number % 2 === 0)).toEqual(quick.got.filter((number) => number % 2 === 0));
  });

  it('stops for one who takes nothing, and goes on for it with a key picture; others notice nothing', () => {
    const { viewers, send, asked } = fanWith('quick', 'stuck');
    const [quick, stuck] = viewers;
    send(picture(2, true));
    for (let number = 3; number <= 40; number++) {
      send(picture(number));
      quick.feed.videoAck(number);
    }
    expect(quick.got).toHaveLength(39);
    expect(stuck.got.length).toBeLessThanOrEqual(6);
    const before = asked();
    stuck.feed.videoAck(40);
    expect(asked()).toBeGreaterThan(before);
    const last = stuck.got.length;
    send(picture(41));
    send(picture(42));
    expect(stuck.got).toHaveLength(last);
    send(picture(44, true));
    send(picture(46));
    expect(stuck.got.slice(last)).toEqual([44, 46]);
    expect(quick.got.slice(-4)).toEqual([41, 42, 44, 46]);
  });

  it('comes only to those who can show it, and from a key picture on once they can', () => {
    const { fan, send, asked } = fanWith('early');
    const got: number[] = [];
    let can = false;
    const feed = fan.open(
      () => got.push(0),
      1,
      (form) => can && form === 'h264',
    );
    send(picture(2, true));
    send(picture(4));
    expect([got.length, asked()]).toEqual([0, 0]);
    can = true;
    send(picture(6));
    expect([got.length, asked()]).toEqual([0, 1]);
    send(picture(8, true));
    send({ ...picture(9, true), form: 'jpeg' });
    send(picture(10));
    expect(got).toHaveLength(1);
    feed.videoAck(8);
    send(picture(12, true));
    expect(got).toHaveLength(2);
  });

  it('begins for a newcomer with a key picture, which is asked for', () => {
    const { fan, send, asked } = fanWith('early');
    send(picture(2, true));
    const got: number[] = [];
    fan.open(() => got.push(0), 1);
    const before = asked();
    send(picture(4));
    expect([got.length, asked() > before]).toEqual([0, true]);
    send(picture(6, true));
    send(picture(7));
    expect(got).toHaveLength(2);
  });
});
