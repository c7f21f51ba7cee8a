import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DirectPeer } from './direct-peer.ts';

/** What simple-peer is to `DirectPeer`, with the channel in the test's hands. */
class Channel {
  static readonly made: Channel[] = [];
  readonly sent: Uint8Array[] = [];
  isDestroyed = false;
  readonly #handlers = new Map<string, (value?: unknown) => void>();

  constructor() {
    Channel.made.push(this);
  }
  on(event: string, handler: (value?: unknown) => void): void {
    this.#handlers.set(event, handler);
  }
  emit(event: string, value?: unknown): void {
    this.#handlers.get(event)?.(value);
  }
  signal(): void {}
  send(data: Uint8Array): void {
    this.sent.push(data);
  }
  destroy(): void {
    this.isDestroyed = true;
  }
}
vi.mock('simple-peer/simplepeer.min.js', () => ({ default: Channel }));

beforeEach(() => {
  Channel.made.length = 0;
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

async function made() {
  const messages: Uint8Array[] = [];
  const order: string[] = [];
  let closed = 0;
  const peer = new DirectPeer({
    isInitiator: true,
    onSignal: () => {},
    onOpen: () => order.push('open'),
    onMessage: (message) => {
      order.push('message');
      messages.push(message);
    },
    onClose: () => closed++,
  });
  await vi.waitUntil(() => Channel.made.length > 0);
  return { channel: Channel.made[0], messages, order, closed: () => closed, peer };
}

async function open() {
  const one = await made();
  one.channel.emit('connect');
  return one;
}

describe('an open direct connection', () => {
  it('is open when something comes, even before the library says so', async () => {
    const { channel, order, peer } = await made();
    channel.emit('data', Uint8Array.of(1, 7));
    expect([order, peer.isOpen]).toEqual([['open', 'message'], true]);
    channel.emit('connect');
    expect(order).toEqual(['open', 'message']);
  });

  it('is given up when nothing comes any more', async () => {
    const { channel, closed, peer } = await open();
    vi.advanceTimersByTime(4000);
    expect([peer.isOpen, closed()]).toEqual([true, 0]);
    vi.advanceTimersByTime(1000);
    expect([peer.isOpen, closed(), channel.isDestroyed]).toEqual([false, 1, true]);
  });

  it('lives on the other end’s signs of life alone, and gives its own', async () => {
    const { channel, messages, closed } = await open();
    for (let second = 0; second < 60; second++) {
      vi.advanceTimersByTime(1000);
      channel.emit('data', channel.sent.at(-1));
    }
    expect(channel.sent.length).toBe(60);
    expect([closed(), messages.length]).toEqual([0, 0]);
  });
});
