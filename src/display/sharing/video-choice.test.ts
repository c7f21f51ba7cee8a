import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VIDEO_FORMS, type VideoForm } from '../stream/messages.ts';
import { videoForms } from '../stream/video-forms.ts';
import { chooseForm } from './video-choice.ts';

const FILM = { width: 640, height: 360, isDrawn: false };
const TEXT = { ...FILM, isDrawn: true };
const shows = (...forms: VideoForm[]) => videoForms((form) => forms.includes(form));
const ALL = shows(...VIDEO_FORMS);

describe('the coder of a video', () => {
  it('is one that this end has and everybody can show, and there is none only when nothing fits', () => {
    const some = fc.subarray([...VIDEO_FORMS]);
    const content = fc.record({
      width: fc.integer({ min: 128, max: 4000 }),
      height: fc.integer({ min: 128, max: 4000 }),
      isDrawn: fc.boolean(),
    });
    fc.assert(
      fc.property(some, some, content, (codes, shown, what) => {
        const form = chooseForm(codes, shows(...shown), what);
        const both = codes.filter((one) => shown.includes(one));
        if (form) expect(both).toContain(form);
        else expect(both.filter((one) => one !== 'av1')).toEqual([]);
      }),
    );
  });

  it.each([
    ['H.264 for a film', ALL, FILM, 'h264'],
    ['AV1 for text, which the others blur', ALL, TEXT, 'av1'],
    ['H.264 for text of which AV1 would be late', ALL, { ...TEXT, width: 1920, height: 1080 }, 'h264'],
    ['H.264 for text while an RDP client looks', shows('h264'), TEXT, 'h264'],
    ['VP9 without H.264', shows('vp9', 'vp8', 'jpeg'), FILM, 'vp9'],
    ['VP8 without both', shows('vp8', 'jpeg'), FILM, 'vp8'],
    ['JPEG for those without a decoder of videos', shows('jpeg'), FILM, 'jpeg'],
    ['none, so tiles, when there is nothing', shows(), FILM, undefined],
  ] as const)('is %s', (_, shown, content, form) => {
    expect(chooseForm(VIDEO_FORMS, shown, content)).toBe(form);
  });
});
