import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BandwidthGroups } from '../../src/net-relay/switch/bandwidth-groups.ts';
import { encodeAttach } from '../../src/net-relay/wire/relay.ts';
import { Networks } from '../net/networks.ts';
import { NetService } from './net-service.ts';
import { TokenLimits } from './token-limits.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function rig() {
  const groups = new BandwidthGroups({ now: () => 0, after: () => () => {} });
  return { groups, limits: new TokenLimits(groups), names: () => groups.all.map(({ name }) => name) };
}

describe('the limit of a token', () => {
  it('is there for all its cards, and a minute longer', () => {
    const { groups, limits, names } = rig();
    const [one, other] = [limits.join('a', 8000), limits.join('a', 16_000)];
    limits.join('b', 8000);
    expect([one.group, other.group]).toEqual(['token a', 'token a']);
    expect(groups.get('token a').bytesPerSecond).toBe(2000);
    one.leave();
    vi.advanceTimersByTime(120_000);
    expect(names()).toEqual(['token a', 'token b']);
    other.leave();
    vi.advanceTimersByTime(59_000);
    expect(names()).toEqual(['token a', 'token b']);
    vi.advanceTimersByTime(2000);
    expect(names()).toEqual(['token b']);
  });

  it('goes with the last card of a service', async () => {
    const networks = new Networks();
    const service = new NetService(networks);
    const join = async (kind: 'intnet' | 'null', mac: string) => {
      const sent: (Uint8Array | string)[] = [];
      const handler = service.connect({
        ...{ remote: '', bufferedBytes: 0, read: () => {}, close: () => {}, send: (message) => sent.push(message) },
        claims: { subject: 'a', id: mac, expiresAtMs: 0, rights: { net: { intnet: '*', bitsPerSecond: 8000 } } },
      });
      const attachment = kind === 'null' ? { kind } : { kind, network: 'lab' };
      const card = { slot: 1, type: 'virtio', mac, cableConnected: true, attachment };
      handler.message(encodeAttach(new TextEncoder().encode(JSON.stringify({ card }))));
      await expect.poll(() => sent.length).toBe(1);
      return handler;
    };
    const cards = [await join('intnet', '080027000001'), await join('null', '080027000002')];
    for (const card of cards) {
      expect(networks.groups.has('token a')).toBe(true);
      card.closed(false);
      vi.advanceTimersByTime(120_000);
    }
    expect(networks.groups.all).toEqual([]);
  });

  it('is the same for who leaves and comes again', () => {
    const { groups, limits } = rig();
    const group = (): unknown => groups.get('token a');
    const before = limits.join('a', 8000);
    const first = group();
    before.leave();
    vi.advanceTimersByTime(30_000);
    const after = limits.join('a', 8000);
    vi.advanceTimersByTime(120_000);
    expect(group()).toBe(first);
    after.leave();
    vi.advanceTimersByTime(120_000);
    expect(groups.all).toEqual([]);
  });
});
