import { expect, it } from 'vitest';
import { BulkDecompressor } from './bulk-decompressor.suite.ts';
import { PipelineOutput } from './pipeline-output.ts';
import { ScreenTiles } from './remotefx/screen-tiles.ts';

const RESET_GRAPHICS = 0x0e;

it('says where monitors lie, and again when they have been moved', () => {
  const bulk = new BulkDecompressor();
  const resets: number[][] = [];
  let places = [0, 64].map((x) => ({ x, y: 0, width: 64, height: 64 }));
  const parts = {
    framesInFlight: () => 2,
    monitors: () => places,
    ...{ onReady: () => {}, onRefused: () => {}, onAcknowledged: () => {}, wantVideoKey: () => {} },
  };
  const output = new PipelineOutput(parts, new ScreenTiles(undefined, () => 0));
  output.opened((message) => {
    const pdus = bulk.decode(message);
    const view = new DataView(pdus.buffer, pdus.byteOffset, pdus.byteLength);
    for (let at = 0; at < pdus.length; at += view.getUint32(at + 4, true)) {
      if (view.getUint16(at, true) !== RESET_GRAPHICS) continue;
      resets.push(Array.from({ length: 13 }, (_, i) => view.getUint32(at + 8 + i * 4, true)));
    }
  });
  // Version 8, no flags.
  output.received(Uint8Array.of(0x12, 0, 0, 0, 22, 0, 0, 0, 1, 0, 4, 0, 8, 0, 4, 0, 0, 0, 0, 0, 0, 0));
  const screen = { width: 128, height: 64, pixels: new Uint32Array(128 * 64) };
  const all = [{ x: 0, y: 0, width: 64, height: 64 }];
  output.show(screen, all);
  output.show(screen, all);
  expect(resets).toEqual([[128, 64, 2, 0, 0, 63, 63, 1, 64, 0, 127, 63, 0]]);
  places = [64, 0].map((x) => ({ x, y: 0, width: 64, height: 64 }));
  output.show(screen, all);
  expect(resets.slice(1)).toEqual([[128, 64, 2, 64, 0, 127, 63, 1, 0, 0, 63, 63, 0]]);
});
