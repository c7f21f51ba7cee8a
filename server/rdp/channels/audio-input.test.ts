import { expect, it } from 'vitest';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import { AudioInput } from './audio-input.ts';
import { DynamicChannels } from './dynamic-channels.ts';

/** WAVE_FORMAT_PCM, 16 bits, [MS-RDPEA] 2.2.2.1.1. */
const format = (rate: number, channels: number): number[] => {
  const u16 = (value: number): number[] => [value & 255, value >> 8];
  const u32 = (value: number): number[] => [...u16(value & 0xffff), ...u16(value >>> 16)];
  const align = channels * 2;
  return [...u16(1), ...u16(channels), ...u32(rate), ...u32(rate * align), ...u16(align), ...u16(16), 0, 0];
};

function plugged() {
  const desktop = new PaintedDesktop(8, 8);
  const sent: number[][] = [];
  const carrier = new DynamicChannels((pdu) => sent.push([...pdu]), []);
  const input = new AudioInput(desktop.microphones, (channel) => carrier.add(channel));
  carrier.begin();
  carrier.receive(Uint8Array.of(0x50, 0, 1, 0));
  sent.length = 0;
  const say = (...bytes: number[]): void => carrier.receive(Uint8Array.of(0x30, 1, ...bytes));
  const want = (wanted: boolean): void => {
    for (const tell of desktop.plugged) tell(wanted);
  };
  return { desktop, input, sent, want, say, answer: (...pdu: number[]) => carrier.receive(Uint8Array.from(pdu)) };
}

/** [MS-RDPEAI] 1.3.1 and 4: the order and the bytes of messages. */
it('opens a client’s microphone while the guest records', () => {
  const { desktop, sent, want, say, answer } = plugged();
  expect(sent).toEqual([]);
  want(true);
  expect(sent.shift()).toEqual([0x10, 1, ...Buffer.from('AUDIO_INPUT'), 0]);
  answer(0x10, 1, 0, 0, 0, 0);
  expect(sent.shift()).toEqual([0x30, 1, 1, 1, 0, 0, 0]);
  say(1, 1, 0, 0, 0);
  const offered = sent.shift() ?? [];
  expect(offered.slice(2, 11)).toEqual([2, 10, 0, 0, 0, 9 + 180, 0, 0, 0]);
  expect(offered.slice(11, 29)).toEqual(format(48_000, 2));
  // It records 22.05 kHz and 44.1 kHz, one channel each: the second is better.
  say(5);
  say(2, 2, 0, 0, 0, 45, 0, 0, 0, ...format(22_050, 1), ...format(44_100, 1));
  expect(sent.shift()).toEqual([0x30, 1, 3, 441 & 255, 441 >> 8, 0, 0, 1, 0, 0, 0, ...format(44_100, 1)]);
  say(7, 1, 0, 0, 0);
  say(4, 0, 0, 0, 0);
  say(5);
  const packet = Uint8Array.from({ length: 882 }, (_, i) => (i & 1 ? 0x10 : 0x00));
  say(6, ...packet);
  say(6, ...packet);
  // From 441 frames 480 are made, and the first goes up from silence.
  expect(Math.abs(desktop.recorded.length - 960)).toBeLessThan(3);
  expect(desktop.recorded.slice(5)).toEqual(new Array(desktop.recorded.length - 5).fill(0x1000));
  want(false);
  expect(sent.splice(0)).toEqual([[0x40, 1]]);
  say(6, ...packet);
  expect(desktop.recorded.length).toBeLessThan(970);
  answer(0x40, 1);
  want(true);
  expect(sent.shift()?.[0]).toBe(0x10);
});

it('follows a client to another format and drops what it cannot read', () => {
  const { desktop, want, say, answer } = plugged();
  want(true);
  answer(0x10, 1, 0, 0, 0, 0);
  say(1, 1, 0, 0, 0);
  say(2, 2, 0, 0, 0, 45, 0, 0, 0, ...format(48_000, 1), ...format(48_000, 2));
  say(7, 1, 0, 0, 0);
  say(6, 1, 0, 9, 9, 2, 0, 9, 9, 5);
  expect(desktop.recorded).toEqual([1, 2]);
  say(7, 0, 0, 0, 0);
  say(6, 3, 0, 4, 0, 5, 0);
  expect(desktop.recorded.slice(2)).toEqual([3, 4, 5]);
  say(7, 9, 0, 0, 0);
  say(6, 3, 0, 4, 0);
  expect(desktop.recorded.length).toBe(5);
  expect(() => say(0x77)).toThrow(/unknown/);
});

it('asks for nothing once it is closed', () => {
  const { desktop, input, sent, want } = plugged();
  input.close();
  want(true);
  expect([desktop.plugged.size, sent]).toEqual([0, []]);
});
