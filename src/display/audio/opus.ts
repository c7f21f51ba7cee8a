/**
 * Opus by the browser.
 * Source: W3C WebCodecs (AudioEncoder, AudioDecoder) and its Opus registration; RFC 6716.
 */
import { SAMPLE_RATE } from '#emu/host/sound.ts';
import type { MadeDecoder } from '../sharing/received-sound.ts';
import type { MadeEncoder } from '../sharing/sent-sound.ts';

const CHANNELS = 2;
const PACKET_US = 20_000;
const BITS_A_SECOND = 128_000;
const CODING: AudioEncoderConfig = {
  ...{ codec: 'opus', sampleRate: SAMPLE_RATE, numberOfChannels: CHANNELS, bitrate: BITS_A_SECOND },
  opus: { frameDuration: PACKET_US },
};

/** @returns undefined: this browser, or this page of it, codes no Opus */
export async function opusEncoder(): Promise<MadeEncoder | undefined> {
  if (typeof AudioEncoder !== 'function') return undefined;
  const { supported } = await AudioEncoder.isConfigSupported(CODING).catch(() => ({ supported: false }));
  if (!supported) return undefined;
  return (onPacket, onBroken) => {
    /** Of packets that are being coded. */
    const frames: number[] = [];
    let timestamp = 0;
    const encoder = new AudioEncoder({
      output: (chunk) => {
        const packet = new Uint8Array(chunk.byteLength);
        chunk.copyTo(packet);
        onPacket(packet, frames.shift() ?? 0);
      },
      error: onBroken,
    });
    encoder.configure(CODING);
    return {
      encode(samples, firstFrame) {
        if (encoder.state !== 'configured') return;
        frames.push(firstFrame);
        const numberOfFrames = samples.length / CHANNELS;
        const format = { format: 's16', sampleRate: SAMPLE_RATE, numberOfChannels: CHANNELS } as const;
        const data = new AudioData({ ...format, numberOfFrames, timestamp, data: samples });
        timestamp += PACKET_US;
        encoder.encode(data);
        data.close();
      },
      close() {
        if (encoder.state !== 'closed') encoder.close();
      },
    };
  };
}

/** @returns undefined: this browser, or this page of it, decodes none */
export function opusDecoder(): MadeDecoder | undefined {
  if (typeof AudioDecoder !== 'function') return undefined;
  return (onSamples) => {
    const frames: number[] = [];
    let timestamp = 0;
    const decoder = new AudioDecoder({
      output: (data) => {
        onSamples(interleaved(data), frames.shift() ?? 0);
        data.close();
      },
      // A packet that is none: the next one may be better, and without any there is silence.
      error: () => {},
    });
    decoder.configure({ codec: 'opus', sampleRate: SAMPLE_RATE, numberOfChannels: CHANNELS });
    return {
      decode(packet, firstFrame) {
        if (decoder.state !== 'configured') return;
        frames.push(firstFrame);
        decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp, data: packet }));
        timestamp += PACKET_US;
      },
      close() {
        if (decoder.state !== 'closed') decoder.close();
      },
    };
  };
}

function interleaved(data: AudioData): Int16Array {
  const plane = new Float32Array(data.numberOfFrames);
  const samples = new Int16Array(data.numberOfFrames * CHANNELS);
  for (let channel = 0; channel < CHANNELS; channel++) {
    data.copyTo(plane, { planeIndex: Math.min(channel, data.numberOfChannels - 1), format: 'f32-planar' });
    for (let i = 0; i < plane.length; i++) {
      samples[i * CHANNELS + channel] = Math.max(-32_768, Math.min(32_767, Math.round(plane[i] * 32_768)));
    }
  }
  return samples;
}
