import { expect, it } from 'vitest';
import { IoBus } from '../../bus/io-bus.ts';
import { DebugConsole, DebugExit, PostCode } from './debug-ports.ts';

it('the debug console identifies itself and passes bytes on, wide writes low byte first', () => {
  const bytes: number[] = [];
  const bus = new IoBus();
  bus.map(0xe9, 1, new DebugConsole({ onByte: (b) => bytes.push(b) }));
  expect(bus.read(0xe9, 1)).toBe(0xe9);
  for (const c of 'ok\n') bus.write(0xe9, 1, c.charCodeAt(0));
  expect(String.fromCharCode(...bytes)).toBe('ok\n');
});

it('the exit port takes bytes and double words', () => {
  const values: number[] = [];
  const bus = new IoBus();
  bus.map(0xf4, 4, new DebugExit({ onExit: (v) => values.push(v) }), { maxWidth: 4 });
  bus.write(0xf4, 1, 0x10);
  bus.write(0xf4, 4, 0xdead_beef);
  expect(values).toEqual([0x10, 0xdead_beef]);
});

it('the POST port keeps the last code and tells changes', () => {
  const codes: number[] = [];
  const post = new PostCode({ onCode: (c) => codes.push(c) });
  const bus = new IoBus();
  bus.map(0x80, 1, post);
  for (const code of [0x11, 0x11, 0x22]) bus.write(0x80, 1, code);
  expect([codes, bus.read(0x80, 1)]).toEqual([[0x11, 0x22], 0x22]);
  const saved = post.save();
  post.reset();
  expect(post.code).toBe(0);
  post.restore(saved);
  expect(bus.read(0x80, 1)).toBe(0x22);
});
