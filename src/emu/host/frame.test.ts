import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { FRAME_WORDS, MAX_MONITORS, SharedFrame, sharedFrameBytes } from './frame.ts';

const VRAM_BYTES = 64 * 1024;

function pair(): { buffer: SharedArrayBuffer; writer: SharedFrame; reader: SharedFrame } {
  const buffer = new SharedArrayBuffer(16 + sharedFrameBytes(VRAM_BYTES));
  return {
    buffer,
    writer: new SharedFrame(buffer, 16, VRAM_BYTES),
    reader: new SharedFrame(buffer, 16, VRAM_BYTES),
  };
}

describe('SharedFrame', () => {
  it('carries record, stamps and generation to another view of the memory', () => {
    const { writer, reader } = pair();
    expect(reader.generation).toBe(0);
    writer.pageGeneration[15] = 1;
    writer.commit(new Uint32Array(FRAME_WORDS).fill(7));
    const record = new Uint32Array(FRAME_WORDS);
    expect(reader.read(record)).toBe(1);
    expect(new Set(record)).toEqual(new Set([7]));
    expect(reader.pageGeneration.length).toBe(16);
    expect(reader.pageGeneration[15]).toBe(1);
    writer.commit(undefined);
    expect(reader.generation).toBe(2);
  });

  it('has a record for each monitor', () => {
    const { writer, reader } = pair();
    expect(reader.monitorCount).toBe(1);
    writer.monitorCount = MAX_MONITORS;
    for (let monitor = 0; monitor < MAX_MONITORS; monitor++) {
      writer.writeRecord(new Uint32Array(FRAME_WORDS).fill(10 + monitor), monitor);
    }
    writer.commit();
    const record = new Uint32Array(FRAME_WORDS);
    const seen = Array.from({ length: reader.monitorCount }, (_, monitor) => {
      reader.read(record, monitor);
      return [...new Set(record)];
    });
    expect(seen).toEqual([[10], [11], [12], [13]]);
    expect(new Set(reader.pageGeneration)).toEqual(new Set([0]));
  });

  it('carries the pointer', () => {
    const { writer, reader } = pair();
    expect([reader.pointerSerial, reader.takesPositions]).toEqual([0, false]);
    const pixels = Uint32Array.from([0xff00_0001, 2, 3, 0xffff_ffff, 5, 6]);
    const shape = { visible: true, hotX: 1, hotY: 0, width: 3, height: 2, pixels };
    writer.writePointer(shape);
    writer.takesPositions = true;
    expect([writer.movePointer(-5, 7), writer.movePointer(-5, 7)]).toEqual([true, false]);
    expect([reader.pointerSerial, reader.takesPositions, reader.pointerX, reader.pointerY]).toEqual([1, true, -5, 7]);
    expect(reader.readPointer()).toEqual(shape);
    const record = new Uint32Array(FRAME_WORDS);
    reader.read(record, MAX_MONITORS - 1);
    expect([...new Set(record), ...new Set(reader.pageGeneration)]).toEqual([0, 0]);
  });

  it('waits for the next generation', () => {
    const { writer, reader } = pair();
    expect(reader.waitForChange(0, 1)).toBe(false);
    writer.commit(undefined);
    expect(reader.waitForChange(0, 1000)).toBe(true);
  });

  it('never shows a record that is half written', async () => {
    const { buffer, reader } = pair();
    // Commits by the same steps on another thread: words of a record are all equal, so a torn one is seen.
    const worker = new Worker(
      `const { workerData } = require('node:worker_threads');
       const head = new Int32Array(workerData, 16, 2);
       const record = new Uint32Array(workerData, 24, ${FRAME_WORDS});
       for (let i = 1; i <= 100000; i++) {
         Atomics.add(head, 0, 1);
         record.fill(i);
         Atomics.add(head, 0, 1);
         Atomics.add(head, 1, 1);
         for (let pause = 0; pause < 300; pause++) Atomics.load(head, 0);
       }`,
      { eval: true, workerData: buffer },
    );
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    const record = new Uint32Array(FRAME_WORDS);
    let torn = 0;
    let seen = 0;
    let last = -1;
    const deadline = Date.now() + 20_000;
    while (reader.generation < 100_000 && Date.now() < deadline) {
      reader.read(record);
      if (record.some((word) => word !== record[0])) torn += 1;
      if (record[0] !== last) seen += 1;
      last = record[0];
    }
    await ended;
    expect(torn).toBe(0);
    expect(seen).toBeGreaterThan(10);
    expect(reader.read(record)).toBe(100_000);
  });
});
