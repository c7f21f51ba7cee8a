/** Which coder a video goes by. Pure. */
import type { VideoForm, VideoForms } from '../stream/messages.ts';

/** What is to be shown as a video. */
export interface VideoContent {
  readonly width: number;
  readonly height: number;
  /** Text and windows that move, not a film. */
  readonly isDrawn: boolean;
}

/**
 * What AV1 is fast enough for. At 640 x 360 it takes two to three times what H.264 takes, which leaves half of 33 ms; a
 * picture of 1024 x 768 is three times as large.
 */
const MOST_AV1_PIXELS = 1024 * 768;
/** H.264 costs least, and RDP clients show it as it is. JPEG is for those who have no decoder of videos at all. */
const FOR_FILMS: readonly VideoForm[] = ['h264', 'vp9', 'vp8', 'av1', 'jpeg'];
/** 4:2:0 blurs coloured text at any rate (19 dB where AV1 with 4:4:4 has 35). */
const FOR_TEXT: readonly VideoForm[] = ['av1', 'h264', 'vp9', 'vp8', 'jpeg'];

/**
 * @param codes what this end can code
 * @param shows what everybody there can show
 * @returns undefined: nothing fits, so that it goes as tiles
 */
export function chooseForm(
  codes: readonly VideoForm[],
  shows: VideoForms,
  { width, height, isDrawn }: VideoContent,
): VideoForm | undefined {
  const order = isDrawn ? FOR_TEXT : FOR_FILMS;
  const fits = (form: VideoForm): boolean => form !== 'av1' || width * height <= MOST_AV1_PIXELS;
  return order.find((form) => codes.includes(form) && shows[form] && fits(form));
}
