import { expect, it } from 'vitest';
import { PipelineWriter } from '../pdu/graphics-pipeline.ts';
import { VideoSurface } from './video-surface.ts';

const area = { x: 30, y: 40, width: 64, height: 48 };
const picture = (isKey: boolean, layer = 0, where = area) => ({
  form: 'h264' as const,
  area: where,
  data: Uint8Array.of(0, 0, 1),
  isKey,
  layer,
});
/** Numbers of the commands. */
function commands(w: PipelineWriter): number[] {
  const pdus = w.done();
  const view = new DataView(pdus.buffer, pdus.byteOffset, pdus.length);
  const found: number[] = [];
  for (let at = 0; at < pdus.length; at += view.getUint32(at + 4, true)) found.push(view.getUint16(at, true));
  return found;
}

it('has a surface of the size of the video, and copies from it to the screen', () => {
  const video = new VideoSurface(() => {});
  const first = new PipelineWriter();
  video.show(picture(true), 1, first);
  // Create surface, wire to surface, surface to surface.
  expect(commands(first)).toEqual([0x09, 0x01, 0x05]);
  const second = new PipelineWriter();
  video.show(picture(false, 0, { ...area, x: 90 }), 1, second);
  expect(commands(second)).toEqual([0x01, 0x05]);
  const other = new PipelineWriter();
  video.show(picture(true, 0, { ...area, width: 80 }), 1, other);
  expect(commands(other)).toEqual([0x0a, 0x09, 0x01, 0x05]);
  const end = new PipelineWriter();
  video.end(end);
  video.end(end);
  expect([commands(end), video.area]).toEqual([[0x0a], undefined]);
});
