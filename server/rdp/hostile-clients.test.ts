/** Seconds of attacks by TABBOX_RDP_FUZZ_SECONDS (`npm run fuzz:rdp`), seed by TABBOX_RDP_FUZZ_SEED. */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { HostileClients } from './hostile-clients.suite.ts';
import { standardKey } from './security/proprietary-certificate.ts';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const KEY = standardKey(createPrivateKey(privateKey.export({ type: 'pkcs1', format: 'pem' })));
const SECONDS = Number(process.env['TABBOX_RDP_FUZZ_SECONDS'] ?? 0);
const ROUNDS = 60;
const SEED = Number(process.env['TABBOX_RDP_FUZZ_SEED'] ?? Date.now() % 1_000_000);
const MIN_MEASUREMENTS = 16;
/** What the second half of all connections may leave behind; one of them has more than that in its buffers. */
const FLAT_BYTES = 1_000_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const heapBytes = async (): Promise<number> => {
  // Timers and promises of the last connection have to be over.
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  collect();
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
};

it(
  `hostile clients harm nobody and leave nothing behind, seed ${SEED}`,
  async () => {
    const clients = new HostileClients(SEED, KEY);
    const end = performance.now() + SECONDS * 1000;
    const heaps: number[] = [];
    let rounds = 0;
    do {
      for (let i = 0; i < ROUNDS; i++, rounds++) await clients.round();
      heaps.push(await heapBytes());
    } while (heaps.length < MIN_MEASUREMENTS || performance.now() < end);
    if (SECONDS > 0)
      console.log(
        `${rounds} hostile connections; MB after each ${ROUNDS}: first ${mb(heaps[1])}, last ${mb(heaps.at(-1))}`,
      );
    // The first ones fill caches and tables. What is not yet collected comes on top of what is kept, so the least counts.
    const half = (heaps.length + 1) >> 1;
    const growth = Math.min(...heaps.slice(half)) - Math.min(...heaps.slice(1, half));
    expect(growth).toBeLessThan(FLAT_BYTES);
  },
  (SECONDS + 60) * 1000,
);

const mb = (bytes = 0): string => (bytes / 1e6).toFixed(1);
