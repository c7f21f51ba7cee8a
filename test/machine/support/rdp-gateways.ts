/** Gateways for tests, on a desktop that is painted by hand. */

import { type GatewaySettings, RdpGateway } from '../../../server/rdp/gateway.ts';
import { makeSelfSigned, type TlsIdentity } from '../../../server/rdp/security/certificate.ts';
import { PaintedDesktop } from '../../../src/display/desktop/painted-desktop.suite.ts';
import type { Shot } from './rdp-clients.ts';

let kept: Promise<TlsIdentity> | undefined;
export const identity = (): Promise<TlsIdentity> => (kept ??= makeSelfSigned('gateway.test'));

export interface TestGateway {
  readonly desktop: PaintedDesktop;
  readonly gateway: RdpGateway;
  readonly log: string[];
}

/** On a free port of the loopback interface; everybody may come in unless `settings` say otherwise. */
export async function openGateway(
  settings: Partial<GatewaySettings> = {},
  width = 640,
  height = 480,
): Promise<TestGateway> {
  const desktop = new PaintedDesktop(width, height);
  const log: string[] = [];
  const gateway = await RdpGateway.open(desktop, {
    ...{ address: '127.0.0.1', ports: [0], check: async () => true, multiple: true, reuse: false },
    policy: { method: 'negotiate', credSsp: undefined, credSspOnly: false },
    videoQuality: 75,
    disabled: { display: false, input: false, audio: false },
    clipboard: { fromClient: true, toClient: true },
    identity: await identity(),
    log: (text) => log.push(text),
    ...settings,
  });
  return { desktop, gateway, log };
}

/** A picture with edges, gradients and noise, different at every pixel. */
export function paintTestCard(desktop: PaintedDesktop, seed = 1): void {
  const { width, height } = desktop.screen;
  desktop.paint(0, 0, width, height, (x, y) => testCard(x, y, seed));
}

/** Colour of the test card as 0xrrggbb: stripes, a gradient, a solid part, noise. */
export function testCard(x: number, y: number, seed = 1): number {
  if (y < 100) return ((x >> 4) + seed) & 1 ? 0xff0000 : 0x0000ff;
  if (y < 200) return ((x & 0xff) << 16) | ((y & 0xff) << 8) | ((x + y) & 0xff);
  if (y < 300) return 0x00c040;
  let hash = Math.imul(x + 1, 0x9e3779b1) ^ Math.imul(y + 1, 0x85ebca6b) ^ Math.imul(seed, 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash >>> 4) & 0xffffff;
}

/** Pixels that differ from the test card by more than the colour depth makes them. */
export function wrongPixels(shot: Shot, tolerance: readonly [number, number, number] = [0, 0, 0], seed = 1): number {
  let wrong = 0;
  for (let y = 0; y < 480; y++) {
    for (let x = 0; x < 640; x++) {
      const [is, should] = [shot.at(x, y), testCard(x, y, seed)];
      const off = [16, 8, 0].some(
        (shift, i) => Math.abs(((is >> shift) & 255) - ((should >> shift) & 255)) > tolerance[i],
      );
      if (off) wrong++;
    }
  }
  return wrong;
}

/** Mean difference from the test card between two rows, a channel of a pixel. */
export function meanError(shot: Shot, seed: number, top = 0, bottom = 300): number {
  let sum = 0;
  let count = 0;
  for (let y = top; y < bottom; y += 3) {
    for (let x = 0; x < 640; x += 3) {
      const [is, should] = [shot.at(x, y), testCard(x, y, seed)];
      for (const shift of [16, 8, 0]) sum += Math.abs(((is >> shift) & 255) - ((should >> shift) & 255));
      count += 3;
    }
  }
  return sum / count;
}
