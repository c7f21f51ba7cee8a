import { describe, expect, it, vi } from 'vitest';
import { approach, closers, dial, enter, gone, logOn, openGateway } from './gateway-rig.suite.ts';
import { PROTOCOL } from './pdu/x224.ts';
import { WireClient } from './wire-client.suite.ts';

describe('a gateway', () => {
  it('lets a client in by TLS', async () => {
    const { gateway, desktop } = await openGateway();
    const { client } = await enter(gateway.port);
    await expect.poll(() => gateway.activeCount).toBe(1);
    client.sendFastKey(0x1e, true);
    await expect.poll(() => desktop.scancodes).toEqual([0x1e]);
  });

  it('tells no stranger anything, and slows down who guesses', async () => {
    const { gateway, log } = await openGateway({ check: async ({ password }) => password === 'right' });
    const began = performance.now();
    for (let i = 0; i < 3; i++) {
      const { secure } = await logOn(gateway.port, 'wire', `wrong${i}`);
      await gone(secure);
    }
    // Half a second before the second look, a whole one before the third.
    expect(performance.now() - began).toBeGreaterThan(1400);
    expect(gateway.activeCount).toBe(0);
    expect(log.filter((line) => line.includes('wrong name or password'))).toHaveLength(3);
    expect(log.join('\n')).not.toMatch(/wrong\d/);
  });

  it('asks for nobody who has left before it was their turn', async () => {
    const asked: string[] = [];
    const { gateway } = await openGateway({
      check: async ({ password }) => {
        asked.push(password);
        return password === 'right';
      },
    });
    const all = ['hasty0', 'hasty1', 'hasty2', 'right'].map((password) => approach(gateway.port, 'wire', password));
    const clients = await Promise.all(all);
    for (let i = 0; i < 3; i++) await gone((await logOn(gateway.port, 'wire', `wrong${i}`)).secure);
    // Each has two seconds to wait.
    const answers = clients.map(({ ask }) => ask());
    for (const { secure } of clients.slice(0, 3)) secure.end();
    await Promise.all(answers);
    expect(clients[3].client.received).toHaveLength(2);
    expect(asked).toEqual(['wrong0', 'wrong1', 'wrong2', 'right']);
  });

  it('asks for so many at a time, however fast they come and go', async () => {
    let asked = 0;
    let answer = (_yes: boolean): void => {};
    const answered = new Promise<boolean>((resolve) => (answer = resolve));
    const check = (): Promise<boolean> => {
      asked++;
      return answered;
    };
    const { gateway, log } = await openGateway({ check });
    for (let i = 0; i < 34; i++) {
      const { secure, ask } = await approach(gateway.port);
      void ask();
      secure.end();
      await gone(secure);
    }
    await expect.poll(() => log.filter((line) => line.includes('too many'))).toHaveLength(2);
    expect(asked).toBe(32);
    answer(true);
    expect((await logOn(gateway.port)).client.received).toHaveLength(2);
  });

  it('counts strangers until their socket is closed', async () => {
    // Nobody is cut off for lingering.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    closers.add(() => vi.useRealTimers());
    const { gateway } = await openGateway();
    for (let i = 0; i < 32; i++) {
      const socket = await dial(gateway.port, true);
      socket.resume().write('GET / HTTP/1.1');
      await new Promise((resolve) => socket.once('end', resolve));
    }
    expect(gateway.clientCount).toBe(0);
    const isAnswered = async (): Promise<boolean> => {
      const socket = await dial(gateway.port);
      new WireClient({ protocols: PROTOCOL.ssl }, (bytes) => socket.write(bytes)).sendConnectionRequest();
      return new Promise((resolve) => {
        socket.once('data', () => resolve(true));
        socket.once('close', () => resolve(false));
      });
    };
    expect(await isAnswered()).toBe(false);
    vi.advanceTimersByTime(2000);
    await expect.poll(isAnswered).toBe(true);
  });
});
