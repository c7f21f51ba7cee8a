/** PDUs of the sound channel. Source: [MS-RDPEA] 2.2.1 (formats), 2.2.2 (initialization), 2.2.3 (data). */
import { PduError, PduReader, PduWriter } from './bytes.ts';

/** 2.2.1, msgType. */
const MESSAGE = { waveInfo: 2, confirm: 5, training: 6, formats: 7, wave2: 0x0d } as const;
/** [RFC 2361]: WAVE form registry. */
export const WAVE_FORMAT = { pcm: 1, aLaw: 6 } as const;
const VERSION_WAVE2 = 8;
const MAX_FORMATS = 256;

export interface AudioFormat {
  /** Of WAVE_FORMAT. */
  readonly tag: number;
  readonly channels: number;
  readonly samplesPerSecond: number;
  readonly bitsPerSample: number;
}

export type AudioMessage =
  /** What of the server's formats the client plays, in the order in which it counts them. */
  | { readonly kind: 'formats'; readonly version: number; readonly formats: readonly AudioFormat[] }
  | { readonly kind: 'confirm'; readonly block: number };

/** @returns undefined for what asks for nothing. @throws PduError */
export function decodeAudioMessage(message: Uint8Array): AudioMessage | undefined {
  const r = new PduReader(message);
  const type = r.u8();
  r.skip(3);
  if (type === MESSAGE.confirm) {
    r.skip(2);
    return { kind: 'confirm', block: r.u8() };
  }
  if (type !== MESSAGE.formats) return undefined;
  r.skip(14);
  const count = r.u16();
  if (count > MAX_FORMATS) throw new PduError('a client plays too many formats', { count });
  r.skip(1);
  const version = r.u16();
  r.skip(1);
  return { kind: 'formats', version, formats: Array.from({ length: count }, () => decodeFormat(r)) };
}

/** 2.2.2.1.1 AUDIO_FORMAT. @throws PduError */
export function decodeFormat(r: PduReader): AudioFormat {
  const [tag, channels, samplesPerSecond] = [r.u16(), r.u16(), r.u32()];
  r.skip(6);
  const bitsPerSample = r.u16();
  r.skip(r.u16());
  return { tag, channels, samplesPerSecond, bitsPerSample };
}

export function encodeAudioFormats(formats: readonly AudioFormat[]): Uint8Array {
  const w = new PduWriter().u32(0).u32(0).u32(0).u16(0).u16(formats.length).u8(0).u16(VERSION_WAVE2).u8(0);
  for (const format of formats) writeFormat(w, format);
  return message(MESSAGE.formats, w.done());
}

export function writeFormat(w: PduWriter, { tag, channels, samplesPerSecond, bitsPerSample }: AudioFormat): PduWriter {
  const align = (channels * bitsPerSample) >> 3;
  w.u16(tag)
    .u16(channels)
    .u32(samplesPerSecond)
    .u32(samplesPerSecond * align);
  return w.u16(align).u16(bitsPerSample).u16(0);
}

export const isSameFormat = (a: AudioFormat, b: AudioFormat): boolean =>
  a.tag === b.tag &&
  a.channels === b.channels &&
  a.samplesPerSecond === b.samplesPerSecond &&
  a.bitsPerSample === b.bitsPerSample;

export interface Wave {
  /** Milliseconds, modulo 2^16. */
  readonly timestamp: number;
  /** Index into the client's formats. */
  readonly format: number;
  readonly block: number;
  /** At least 4 bytes. */
  readonly data: Uint8Array;
}

/** One message for clients of version 8; two for older ones. */
export function encodeWave({ timestamp, format, block, data }: Wave, version: number): Uint8Array[] {
  const w = new PduWriter(12 + data.length).u16(timestamp).u16(format).u8(block).zeros(3);
  if (version >= VERSION_WAVE2) return [message(MESSAGE.wave2, w.u32(timestamp).bytes(data).done())];
  const info = message(MESSAGE.waveInfo, w.bytes(data.subarray(0, 4)).done(), data.length + 8);
  return [info, new PduWriter(data.length).zeros(4).bytes(data.subarray(4)).done()];
}

const message = (type: number, body: Uint8Array, length: number = body.length): Uint8Array =>
  new PduWriter(4 + body.length).u8(type).u8(0).u16(length).bytes(body).done();
