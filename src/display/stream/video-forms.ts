/** Which forms of video somebody can show or code, as peers of any version say it. */
import { type BodyOf, encodeMessage, RELAY_VERSION, VIDEO_FORMS, type VideoForm, type VideoForms } from './messages.ts';

export const videoForms = (can: (form: VideoForm) => boolean): VideoForms =>
  Object.fromEntries(VIDEO_FORMS.map((form) => [form, can(form)])) as Record<VideoForm, boolean>;

export const NO_VIDEO: VideoForms = videoForms(() => false);

/** What a peer of before `videoCoders` has said. */
export const olderForms = (said: BodyOf<'videoForms'>): VideoForms => ({ ...NO_VIDEO, ...said });

/** @param version of the peer that is told, as in RELAY_VERSION */
export function sayVideoForms(forms: VideoForms, version: number): Uint8Array<ArrayBuffer> {
  if (version >= RELAY_VERSION) return encodeMessage('videoCoders', { forms });
  const { h264, vp9, vp8 } = forms;
  return encodeMessage('videoForms', { h264, vp9, vp8 });
}
