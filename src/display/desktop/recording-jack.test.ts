import { expect, it, vi } from 'vitest';
import { createRecordingRing, RecordingInput } from '#emu/host/recording-ring.ts';
import { RecordingJack } from './recording-jack.ts';

const tone = (value: number): Int16Array => new Int16Array(4800).fill(value);
function first(input: RecordingInput): number {
  const into = new Int16Array(960);
  input.read(into);
  return into[0];
}

it('tells microphones when the guest records, and hears the one that was there first', async () => {
  const ring = createRecordingRing();
  const input = new RecordingInput(ring);
  const jack = new RecordingJack(ring);
  const told: string[] = [];
  const one = jack.plug((wanted) => told.push(`one ${wanted}`));
  one.write(tone(1));
  input.record(true);
  await vi.waitFor(() => expect(told).toEqual(['one true']));
  const two = jack.plug((wanted) => told.push(`two ${wanted}`));
  expect(told).toEqual(['one true']);
  await vi.waitFor(() => expect(told).toEqual(['one true', 'two true']));
  two.write(tone(2));
  expect(first(input)).toBe(0);
  one.write(tone(1));
  expect(first(input)).toBe(1);
  one.unplug();
  input.record(false);
  input.record(true);
  two.write(tone(2));
  expect(first(input)).toBe(2);
  input.record(false);
  await vi.waitFor(() => expect(told.at(-1)).toBe('two false'));
  two.unplug();
});
