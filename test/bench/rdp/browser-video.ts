/** The moving picture of `source.c` as a tab codes it: a Chromium draws it, its encoder makes H.264, and the pictures come here. */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright';
import { CHROMIUM, CHROMIUM_ARGUMENTS } from '../../e2e/support/page-test.ts';

/** As session links have it. */
const CODING = {
  ...{ codec: 'avc1.42001f', framerate: 30, bitrate: 3_000_000, latencyMode: 'realtime', scalabilityMode: 'L1T2' },
  avc: { format: 'annexb' },
} as const;

export interface CodedPicture {
  readonly data: Uint8Array;
  readonly isKey: boolean;
  readonly layer: number;
}

export interface Pattern {
  readonly width: number;
  readonly height: number;
  /** Twice as wide and high, so that it can move inside; base64 of R, G, B, 255. */
  readonly waves: string;
  readonly fps: number;
  readonly cell: number;
  readonly bits: number;
}

/** @returns a function that ends it */
export async function playInBrowser(
  server: string,
  pattern: Pattern,
  onPicture: (picture: CodedPicture) => void,
): Promise<() => void> {
  const executablePath = CHROMIUM.find((path) => existsSync(path));
  const browser: Browser = await chromium.launch({
    ...(executablePath ? { executablePath } : {}),
    args: CHROMIUM_ARGUMENTS,
  });
  const page = await browser.newPage();
  // Encoders are there in secure contexts alone, such as pages of this host.
  await page.goto(server);
  await page.exposeFunction('deliver', (data: string, isKey: boolean, layer: number) => {
    onPicture({ data: Buffer.from(data, 'base64'), isKey, layer });
  });
  const asked = nowMs();
  const there = await page.evaluate(() => performance.now());
  const offset = (asked + nowMs()) / 2 - there;
  await page.evaluate(draw, { ...pattern, offset, coding: CODING });
  return () => void browser.close();
}

/** The clock that `eye` reads as well. */
export const nowMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

/** Runs in the page. */
function draw({
  width,
  height,
  waves,
  fps,
  cell,
  bits,
  offset,
  coding,
}: Pattern & { offset: number; coding: object }): void {
  const big = new Uint32Array(Uint8Array.from(atob(waves), (character) => character.charCodeAt(0)).buffer);
  const { deliver } = window as unknown as { deliver(data: string, isKey: boolean, layer: number): void };
  const encoder = new VideoEncoder({
    output: (chunk, metadata) => {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      const { svc } = metadata as { svc?: { temporalLayerId: number } };
      deliver(btoa(String.fromCharCode(...data)), chunk.type === 'key', svc?.temporalLayerId ?? 0);
    },
    error: (cause) => console.error(cause),
  });
  encoder.configure({ ...coding, width, height } as VideoEncoderConfig);
  const pixels = new Uint32Array(width * height);
  const start = performance.now();
  let drawn = 0;
  const next = (): void => {
    const t = (performance.now() - start) / 1000;
    const from = Math.max(0, Math.floor(width / 2 + (width / 2) * Math.sin(t * 0.9)) - 1);
    const down = Math.max(0, Math.floor(height / 2 + (height / 2) * Math.cos(t * 0.7)) - 1);
    for (let y = 0; y < height; y++) {
      const at = (y + down) * 2 * width + from;
      pixels.set(big.subarray(at, at + width), y * width);
    }
    const ms = Math.floor(performance.now() + offset) >>> 0;
    const sum = (ms ^ (ms >>> 8) ^ (ms >>> 16) ^ (ms >>> 24)) & 255;
    for (let i = 0; i < bits; i++) {
      const colour = (i < 32 ? (ms >>> i) & 1 : (sum >>> (i - 32)) & 1) ? 0xffffffff : 0xff000000;
      for (let y = 0; y < cell; y++) pixels.fill(colour, y * width + i * cell, y * width + (i + 1) * cell);
    }
    const size = { codedWidth: width, codedHeight: height, timestamp: drawn * 33_333 } as const;
    const frame = new VideoFrame(new Uint8Array(pixels.buffer), { format: 'RGBX', ...size });
    encoder.encode(frame, { keyFrame: drawn === 0 });
    frame.close();
    drawn++;
    setTimeout(next, Math.max(0, start + (drawn * 1000) / fps - performance.now()));
  };
  next();
}
