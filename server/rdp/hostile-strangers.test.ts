/**
 * Who comes to the door of a gateway and sends anything, or leaves at any time: by sockets, beside one who is in.
 * Seconds by TABBOX_RDP_FUZZ_SECONDS (`npm run fuzz:rdp`), seed by TABBOX_RDP_FUZZ_SEED.
 */
import { expect, it } from 'vitest';
import { expectFlat, growthText, repeat, until } from '../heap-growth.suite.ts';
import { approach, dial, enter, gone, openGateway } from './gateway-rig.suite.ts';
import { seeded } from './hostile-clients.suite.ts';
import { PROTOCOL } from './pdu/x224.ts';
import { WireClient } from './wire-client.suite.ts';

const SECONDS = Number(process.env['TABBOX_RDP_FUZZ_SECONDS'] ?? 0);
const SEED = Number(process.env['TABBOX_RDP_FUZZ_SEED'] ?? Date.now() % 1_000_000);
const LEAST_ROUNDS = 120;

const random = seeded(SEED);
const junk = (length: number): Uint8Array => Uint8Array.from({ length }, () => random(256));

/** Before there is any security. */
async function knock(port: number): Promise<void> {
  const socket = await dial(port);
  const client = new WireClient({ protocols: PROTOCOL.ssl }, (bytes) => socket.write(bytes));
  const kind = random(5);
  if (kind === 0) socket.write(junk(random(3000) + 1));
  else if (kind === 1) socket.write(Uint8Array.of(3, 0, 0xff, 0xff, ...junk(200)));
  else if (kind === 2) client.sendConnectionRequest();
  else if (kind === 3) {
    client.sendConnectionRequest();
    await new Promise((resolve) => socket.once('data', resolve));
    // Where TLS should begin.
    socket.write(junk(random(500) + 1));
  }
  if (random(2) === 0) socket.destroy();
  else socket.end();
  await gone(socket);
}

/** By TLS: a wrong password whose answer is not waited for, another step out of turn, or no sense. */
async function guess(port: number, round: number): Promise<void> {
  const { client, secure, steps } = await approach(port, `user ${round}`, 'wrong');
  const kind = random(3);
  if (kind === 0) steps[6]();
  else if (kind === 1) client.sendShareControl(random(16), junk(random(100)));
  else secure.write(junk(random(500) + 1));
  if (random(2) === 0) secure.destroy();
  else secure.end();
  await gone(secure);
}

it(
  `a gateway outlives what strangers send, and forgets them, seed ${SEED}`,
  async () => {
    const { gateway, desktop } = await openGateway({
      check: async ({ password }) => password === 'right',
      log: () => {},
    });
    const good = await enter(gateway.port, 'wire', 'right');
    await expect.poll(() => gateway.activeCount).toBe(1);
    let rounds = 0;
    const round = async (): Promise<number> => {
      await (random(4) === 0 ? guess(gateway.port, rounds) : knock(gateway.port));
      rounds++;
      return 1;
    };
    /** Both ends of the one that is in. */
    const sockets = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
    const settle = async (): Promise<void> => {
      await until('strangers have gone', () => sockets() === 2);
      expect(gateway.clientCount).toBe(1);
      expect(desktop.viewCount).toBe(1);
      good.client.received.length = 0;
    };
    const marks = await repeat({ seconds: SECONDS, leastRounds: LEAST_ROUNDS, round, settle });
    if (SECONDS > 0) console.log(`strangers: ${growthText(marks)}`);
    good.client.sendFastKey(0x1e, true);
    await expect.poll(() => desktop.scancodes).toEqual([0x1e]);
    expectFlat(marks, `seed ${SEED}`);
  },
  (SECONDS + 60) * 1000,
);
