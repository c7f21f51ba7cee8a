import { expect, it } from 'vitest';
import { createRecordingRing, RecordingInput, RecordingOutput } from './recording-ring.ts';

const frames = (from: number, count: number): Int16Array =>
  Int16Array.from({ length: count * 2 }, (_, i) => (from + (i >> 1)) & 0x7fff);
const read = (input: RecordingInput, count: number): Int16Array => {
  const into = new Int16Array(count * 2).fill(-1);
  input.read(into);
  return into;
};

it('is asked for only while the guest records, and gives nothing older', () => {
  const ring = createRecordingRing();
  const [input, output] = [new RecordingInput(ring), new RecordingOutput(ring)];
  expect(output.isWanted).toBe(false);
  output.write(frames(0, 4800));
  input.record(true);
  expect(output.isWanted).toBe(true);
  expect(read(input, 480)).toEqual(new Int16Array(960));
  input.record(false);
  expect(output.isWanted).toBe(false);
});

it('lets a little gather, goes on without gaps, and is silent when nothing is left', () => {
  const ring = createRecordingRing();
  const [input, output] = [new RecordingInput(ring), new RecordingOutput(ring)];
  input.record(true);
  output.write(frames(1, 2399));
  expect(read(input, 480)).toEqual(new Int16Array(960));
  output.write(frames(2400, 1));
  expect(read(input, 1440)).toEqual(frames(1, 1440));
  output.write(frames(2401, 100));
  expect(read(input, 1100)).toEqual(Int16Array.from([...frames(1441, 1060), ...new Int16Array(80)]));
  // It has run dry: what comes gathers again.
  output.write(frames(5000, 480));
  expect(read(input, 480)).toEqual(new Int16Array(960));
});

it('skips what nobody has fetched for long', () => {
  const ring = createRecordingRing();
  const [input, output] = [new RecordingInput(ring), new RecordingOutput(ring)];
  input.record(true);
  output.write(frames(0, 9601));
  expect(read(input, 480)).toEqual(frames(9601 - 2400, 480));
});
