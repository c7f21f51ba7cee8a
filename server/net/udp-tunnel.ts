/**
 * VirtualBox's generic driver UDPTunnel, and QEMU's `-netdev dgram` and `-netdev socket,udp=`: one Ethernet frame, as it
 * is, in every datagram. Source: VirtualBox manual 6.8; qemu(1), "-netdev dgram".
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { CodedError } from '#base/errors.ts';
import { MAX_FRAME_BYTES, type PacketPort, type PacketReceiver } from '#emu/host/packet-port.ts';
import { FrameQueue } from '../../src/net-relay/switch/frame-queue.ts';
import { ETHERNET_HEADER_BYTES } from '../../src/net-relay/wire/ethernet.ts';

export interface UdpTunnelOptions {
  /** Address or name of the other end. */
  readonly dest: string;
  /** Where we listen, and where the other end does. */
  readonly sport: number;
  readonly dport: number;
}

/** @throws CodedError<'bad-property'> */
export function parseUdpTunnel(properties: Readonly<Record<string, string>>): UdpTunnelOptions {
  const { dest = '', sport = '', dport = '' } = properties;
  const port = (name: string, text: string): number => {
    const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
    if (1 <= value && value <= 0xffff) return value;
    throw new CodedError('bad-property', `UDPTunnel needs ${name}, a port from 1 to 65535, not '${text}'`);
  };
  if (dest === '') throw new CodedError('bad-property', 'UDPTunnel needs dest, the address of the other end');
  return { dest, sport: port('sport', sport), dport: port('dport', dport) };
}

const QUEUE_BYTES = 256 * 1024;
/** Bytes in the host's socket, above which the card has to wait. */
const MOST_QUEUED = 256 * 1024;

export class UdpTunnel implements PacketReceiver {
  readonly #cable: PacketPort;
  readonly #queue: FrameQueue;
  readonly #socket: Socket;
  readonly #dest: string;
  readonly #port: number;
  #hasRefused = false;
  #isClosed = false;

  private constructor(cable: PacketPort, socket: Socket, dest: string, port: number) {
    this.#cable = cable;
    this.#queue = new FrameQueue(cable, QUEUE_BYTES);
    this.#socket = socket;
    this.#dest = dest;
    this.#port = port;
    socket.on('error', () => {});
    socket.on('message', (frame: Buffer, from: RemoteInfo) => {
      // Only the other end may speak.
      const isPeer = from.port === port && from.address === dest;
      const fits = ETHERNET_HEADER_BYTES <= frame.length && frame.length <= MAX_FRAME_BYTES;
      if (isPeer && fits) this.#queue.send(frame, true);
    });
    cable.connect(this);
    cable.setLink(true);
  }

  /**
   * @param cable its end on the tunnel's side
   * @throws CodedError<'no-tunnel'>
   */
  static async open(cable: PacketPort, { dest, sport, dport }: UdpTunnelOptions): Promise<UdpTunnel> {
    try {
      const { address, family } = await lookup(dest);
      const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        // The other end is on this host or not: what is not needed from outside is not open to it.
        const here = address.startsWith('127.') ? '127.0.0.1' : address === '::1' ? '::1' : undefined;
        socket.bind({ port: sport, exclusive: true, ...(here ? { address: here } : {}) }, resolve);
      });
      socket.removeAllListeners('error');
      return new UdpTunnel(cable, socket, address, dport);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const message = `the UDP tunnel to ${dest} cannot be opened: ${why}; check dest, and that port ${sport} is free`;
      throw new CodedError('no-tunnel', message, { sport, dport }, cause);
    }
  }

  receive(frame: Uint8Array): boolean {
    if (this.#isClosed) return true;
    if (this.#socket.getSendQueueSize() > MOST_QUEUED) {
      this.#hasRefused = true;
      return false;
    }
    // Errors are what a datagram meets on its way: nobody listens there yet, the host has no route.
    this.#socket.send(frame.slice(), this.#port, this.#dest, () => this.#sent());
    return true;
  }

  #sent(): void {
    if (!this.#hasRefused || this.#isClosed) return;
    this.#hasRefused = false;
    this.#cable.resume();
  }

  resume(): void {
    this.#queue.resume();
  }

  linkChanged(): void {
    if (!this.#cable.linkUp) this.#queue.clear();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cable.setLink(false);
    this.#socket.close();
  }
}
