/** Seconds of attacks by TABBOX_RDP_FUZZ_SECONDS (`npm run fuzz:rdp`), seed by TABBOX_RDP_FUZZ_SEED. */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { it } from 'vitest';
import { expectFlat, growthText, repeat } from '../heap-growth.suite.ts';
import { HostileClients } from './hostile-clients.suite.ts';
import { standardKey } from './security/proprietary-certificate.ts';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const KEY = standardKey(createPrivateKey(privateKey.export({ type: 'pkcs1', format: 'pem' })));
const SECONDS = Number(process.env['TABBOX_RDP_FUZZ_SECONDS'] ?? 0);
const SEED = Number(process.env['TABBOX_RDP_FUZZ_SEED'] ?? Date.now() % 1_000_000);
const LEAST_ROUNDS = 1000;

it(
  `hostile clients harm nobody and leave nothing behind, seed ${SEED}`,
  async () => {
    const clients = new HostileClients(SEED, KEY);
    const round = async (): Promise<number> => {
      await clients.round();
      return 1;
    };
    const marks = await repeat({ seconds: SECONDS, leastRounds: LEAST_ROUNDS, round });
    if (SECONDS > 0) console.log(`hostile connections: ${growthText(marks)}`);
    expectFlat(marks, `seed ${SEED}`);
  },
  (SECONDS + 60) * 1000,
);
