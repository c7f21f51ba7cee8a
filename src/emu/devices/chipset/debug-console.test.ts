import { expect, it } from 'vitest';
import { IoBus } from '#emu/bus/io-bus.ts';
import { DebugConsole } from './debug-console.ts';

it('prints what firmware writes and says that it exists', () => {
  let text = '';
  const ports = new IoBus();
  ports.map(0x402, 1, new DebugConsole({ onByte: (byte) => void (text += String.fromCharCode(byte)) }));
  for (const c of 'SeaBIOS\n') ports.write(0x402, 1, c.charCodeAt(0));
  expect(text).toBe('SeaBIOS\n');
  expect(ports.read(0x402, 1)).toBe(0xe9);
});
