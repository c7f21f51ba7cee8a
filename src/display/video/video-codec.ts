/**
 * Video by the browser.
 * Source: W3C WebCodecs (VideoEncoder, VideoDecoder) and its AVC, VP8, VP9 and AV1 registrations; ITU-T H.264 table A-1
 * and AV1 A.3 (levels).
 */
import type { MadeVideoDecoder } from '../sharing/received-video.ts';
import type { MadeVideoEncoder } from '../sharing/sent-video.ts';
import { VIDEO_FORMS, type VideoForm } from '../stream/messages.ts';
import { hasJpeg, jpegDecoder, jpegEncoder } from './motion-jpeg.ts';

const FRAMES_A_SECOND = 30;
/** 640 x 360 gets 3 Mbit/s. */
const BITS_A_PIXEL_A_SECOND = 13;
const [LEAST_BITS, MOST_BITS] = [500_000, 8_000_000];
/** Macroblocks of a picture up to each level of H.264, and the level's number in a codec string. */
const LEVELS = [
  [3600, '1f'],
  [8192, '28'],
  [22_080, '32'],
  [36_864, '33'],
] as const;
/** Every second picture is needed by no other. */
const TWO_LAYERS = 'L1T2';
/** What VideoEncoder and VideoDecoder know. */
type CodecForm = Exclude<VideoForm, 'jpeg'>;
const CODEC_FORMS = VIDEO_FORMS.filter((form): form is CodecForm => form !== 'jpeg');

function codecOf(form: CodecForm, width: number, height: number): string {
  if (form === 'vp8') return 'vp8';
  if (form === 'vp9') return 'vp09.00.40.08';
  // High profile, which has 4:4:4, level 3.1, 8 bits.
  if (form === 'av1') return 'av01.1.05M.08';
  const blocks = Math.ceil(width / 16) * Math.ceil(height / 16);
  const level = LEVELS.find(([most]) => blocks <= most) ?? LEVELS[LEVELS.length - 1];
  return `avc1.4200${level[1]}`;
}

const codingOf = (form: CodecForm, width: number, height: number): VideoEncoderConfig => ({
  ...{ codec: codecOf(form, width, height), width, height, framerate: FRAMES_A_SECOND, latencyMode: 'realtime' },
  bitrate: Math.max(LEAST_BITS, Math.min(MOST_BITS, width * height * BITS_A_PIXEL_A_SECOND)),
  ...(form === 'h264' ? { avc: { format: 'annexb' as const } } : {}),
  // Without it AV1 is no better for text than the others are.
  ...(form === 'av1' ? { contentHint: 'text' } : {}),
});

/** In layers AV1 has 27 dB where it has 35 in one. */
const isLayered = (form: CodecForm): boolean => form !== 'av1';

const isSupported = async (config: VideoEncoderConfig): Promise<boolean> =>
  (await VideoEncoder.isConfigSupported(config).catch(() => undefined))?.supported ?? false;

/** @returns undefined: this browser, or this page of it, codes no video */
export async function videoEncoder(): Promise<MadeVideoEncoder | undefined> {
  const layered = new Map<CodecForm, boolean>();
  for (const form of typeof VideoEncoder === 'function' ? CODEC_FORMS : []) {
    const coding = codingOf(form, 640, 360);
    if (isLayered(form) && (await isSupported({ ...coding, scalabilityMode: TWO_LAYERS }))) layered.set(form, true);
    else if (await isSupported(coding)) layered.set(form, false);
  }
  const forms: readonly VideoForm[] = [...layered.keys(), ...((await hasJpeg()) ? (['jpeg'] as const) : [])];
  if (forms.length === 0) return undefined;
  return {
    forms,
    open(form, width, height, onPicture, onBroken) {
      if (form === 'jpeg') return jpegEncoder(width, height, onPicture, onBroken);
      const encoder = new VideoEncoder({
        output: (chunk, metadata) => {
          const data = new Uint8Array(chunk.byteLength);
          chunk.copyTo(data);
          const { temporalLayerId = 0 } = (metadata as { svc?: { temporalLayerId?: number } } | undefined)?.svc ?? {};
          onPicture({ data, isKey: chunk.type === 'key', layer: temporalLayerId });
        },
        error: onBroken,
      });
      const coding = codingOf(form, width, height);
      encoder.configure(layered.get(form) ? { ...coding, scalabilityMode: TWO_LAYERS } : coding);
      let timestamp = 0;
      return {
        get isBusy() {
          return encoder.encodeQueueSize > 0;
        },
        encode(pixels, isKey) {
          if (encoder.state !== 'configured') return;
          const frame = new VideoFrame(pixels, { format: 'RGBX', codedWidth: width, codedHeight: height, timestamp });
          timestamp += 1_000_000 / FRAMES_A_SECOND;
          encoder.encode(frame, { keyFrame: isKey });
          frame.close();
        },
        close() {
          if (encoder.state !== 'closed') encoder.close();
        },
      };
    },
  };
}

/** @returns undefined: this browser, or this page of it, decodes none */
export async function videoDecoder(): Promise<MadeVideoDecoder | undefined> {
  const forms: VideoForm[] = [];
  const canDecode = typeof VideoDecoder === 'function' && typeof OffscreenCanvas === 'function';
  for (const form of canDecode ? CODEC_FORMS : []) {
    const found = await VideoDecoder.isConfigSupported({ codec: codecOf(form, 1920, 1080) }).catch(() => undefined);
    if (found?.supported) forms.push(form);
  }
  if (await hasJpeg()) forms.push('jpeg');
  if (forms.length === 0) return undefined;
  return {
    forms,
    open(form, width, height, onPicture, onBroken) {
      if (form === 'jpeg') return jpegDecoder(width, height, onPicture, onBroken);
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
      const decoder = new VideoDecoder({
        output: (frame) => {
          context?.drawImage(frame, 0, 0);
          const number = frame.timestamp;
          frame.close();
          const shown = context?.getImageData(0, 0, width, height);
          if (shown) onPicture(new Uint32Array(shown.data.buffer), number);
        },
        error: onBroken,
      });
      decoder.configure({ codec: codecOf(form, width, height), optimizeForLatency: true });
      return {
        decode({ data, isKey, number }) {
          if (decoder.state !== 'configured') return;
          decoder.decode(new EncodedVideoChunk({ type: isKey ? 'key' : 'delta', timestamp: number, data }));
        },
        close() {
          if (decoder.state !== 'closed') decoder.close();
        },
      };
    },
  };
}
