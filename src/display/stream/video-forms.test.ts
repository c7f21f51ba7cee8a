import { describe, expect, it } from 'vitest';
import { decodeMessage, encodeMessage, RELAY_VERSION, STREAM_VERSION } from './messages.ts';
import { NO_VIDEO, olderForms, sayVideoForms, videoForms } from './video-forms.ts';

const ALL = videoForms(() => true);

describe('forms of video', () => {
  it('are said to older peers as far as they know them', () => {
    expect(decodeMessage(sayVideoForms(ALL, STREAM_VERSION))).toEqual({
      name: 'videoForms',
      body: { h264: true, vp9: true, vp8: true },
    });
    expect(decodeMessage(sayVideoForms(ALL, RELAY_VERSION))).toEqual({ name: 'videoCoders', body: { forms: ALL } });
  });

  it('of older peers are those that they have said, and no other', () => {
    expect(olderForms({ h264: true, vp9: false, vp8: true })).toEqual({ ...NO_VIDEO, h264: true, vp8: true });
  });

  it('that a newer peer says and nobody here knows are left out', () => {
    const bytes = encodeMessage('videoCoders', { forms: NO_VIDEO });
    new DataView(bytes.buffer).setUint16(1, 0xffe1, true);
    expect(decodeMessage(bytes).body).toEqual({ forms: { ...NO_VIDEO, h264: true } });
  });

  it('are refused where a picture has one that nobody knows, and cut short', () => {
    const place = { x: 0, y: 0, width: 2, height: 2 };
    const bytes = encodeMessage('video', {
      ...{ number: 1, form: 'jpeg', ...place, isKey: true, layer: 0, data: new Uint8Array(0) },
    });
    bytes[5] = 5;
    expect(() => decodeMessage(bytes)).toThrow(/5 stands for none of h264, vp9, vp8, av1, jpeg/);
    expect(() => decodeMessage(sayVideoForms(ALL, RELAY_VERSION).subarray(0, 2))).toThrow(/too early/);
  });
});
