/** One client from its first byte to its last, without a socket: bytes go in, bytes and calls come out. */

import { readBerLength } from '../pdu/ber.ts';
import { PduError, PduReader } from '../pdu/bytes.ts';
import { EARLY_CAPABILITY } from '../pdu/gcc.ts';
import { encodeDisconnectUltimatum, MCS_REASON } from '../pdu/mcs.ts';
import { encodeDeactivateAll, errorInfoBody, SHARE_DATA } from '../pdu/share.ts';
import { packetLength } from '../pdu/tpkt.ts';
import { Activation } from './activation.ts';
import { Active } from './active.ts';
import { IO_CHANNEL_ID, Link, SERVER_CHANNEL_ID, SHARE_ID } from './link.ts';
import { Negotiation } from './negotiation.ts';
import { type ConnectionHost, type ConnectionState, type Phase, Refused, type SessionEvents } from './phase.ts';

/** Bytes of a packet that is accepted; TPKT has at most 65535, CredSSP's are small. */
const MAX_PACKET = 0xffff;

export class ServerConnection {
  readonly state: ConnectionState;
  #phase: Phase;
  #buffer: Uint8Array = new Uint8Array(0);
  #isBusy = false;
  #isOver = false;

  constructor(host: ConnectionHost, session: SessionEvents) {
    this.state = {
      ...{ host, session, link: new Link(host.send), channels: new Map() },
      ...{
        cookie: '',
        requestedProtocols: 0,
        selectedProtocol: 0,
        encryptionMethod: 0,
        messageChannelId: undefined,
        bitsPerPixel: 0,
        screen: undefined,
      },
      ...{
        client: undefined,
        serverRandom: undefined,
        clientRandom: undefined,
        info: undefined,
        proven: undefined,
        capabilities: undefined,
      },
    };
    this.#phase = new Negotiation(this.state);
  }

  get isActive(): boolean {
    return !this.#isOver && this.#phase instanceof Active;
  }

  /** Bytes from the client, TLS taken off. */
  receive(bytes: Uint8Array): void {
    if (this.#isOver) return;
    const joined = new Uint8Array(this.#buffer.length + bytes.length);
    joined.set(this.#buffer);
    joined.set(bytes, this.#buffer.length);
    this.#buffer = joined;
    // A client that goes on before it is answered has to wait, and not for ever.
    if (this.#isBusy && this.#buffer.length > MAX_PACKET)
      this.#fail(new PduError('a client does not wait for answers'));
    else this.#work();
  }

  /** Ends the share and begins one at the screen's present size. */
  reactivate(): void {
    if (!this.isActive) return;
    this.state.link.sendToChannel(IO_CHANNEL_ID, encodeDeactivateAll(SHARE_ID, SERVER_CHANNEL_ID));
    this.#phase = Activation.begin(this.state);
  }

  /** Sends the client away. @param errorInfo of ERROR_INFO; 0: without a reason */
  disconnect(errorInfo: number, why: string): void {
    if (this.#isOver) return;
    if (this.state.link.userId !== 0) {
      if (errorInfo !== 0 && this.#understandsErrors)
        this.state.link.sendShareData(SHARE_DATA.errorInfo, errorInfoBody(errorInfo));
      this.state.link.sendMcs(encodeDisconnectUltimatum(MCS_REASON.providerInitiated));
    }
    this.#end(why);
  }

  get #understandsErrors(): boolean {
    return ((this.state.client?.core.earlyCapabilities ?? 0) & EARLY_CAPABILITY.errorInfo) !== 0;
  }

  #work(): void {
    while (!this.#isBusy && !this.#isOver) {
      try {
        const packet = this.#takePacket();
        if (!packet) return;
        const phase = this.#phase;
        const next = phase.receive(packet);
        if (next instanceof Promise) this.#wait(next);
        // What a client asks for may change the screen, so that the share ends inside this call.
        else if (this.#phase === phase) this.#phase = next;
      } catch (cause) {
        this.#fail(cause);
      }
    }
  }

  async #wait(next: Promise<Phase>): Promise<void> {
    this.#isBusy = true;
    try {
      this.#phase = await next;
    } catch (cause) {
      this.#fail(cause);
    }
    this.#isBusy = false;
    this.#work();
  }

  #takePacket(): Uint8Array | undefined {
    const buffer = this.#buffer;
    const length = this.#phase.framing === 'rdp' ? packetLength(buffer) : derLength(buffer);
    if (length === undefined || buffer.length < length) return undefined;
    // Decryption works in place, and PDUs lie in their packet: so it is its own.
    this.#buffer = buffer.subarray(length);
    return buffer.slice(0, length);
  }

  #fail(cause: unknown): void {
    if (cause instanceof Refused) this.disconnect(cause.refusal.errorInfo, cause.refusal.why);
    else if (cause instanceof PduError) this.#end(cause.message);
    else throw cause;
  }

  #end(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#buffer = new Uint8Array(0);
    this.state.host.onEnd(why);
  }
}

/** Length of a DER element with its header. @throws PduError */
function derLength(bytes: Uint8Array): number | undefined {
  if (bytes.length < 2) return undefined;
  if (bytes[0] !== 0x30) throw new PduError('CredSSP begins with something else', { tag: bytes[0] });
  if (bytes[1] > 0x80 && bytes.length < 2 + (bytes[1] & 0x7f)) return undefined;
  const r = new PduReader(bytes, 1);
  const length = readBerLength(r) + r.at;
  if (length > MAX_PACKET) throw new PduError('a CredSSP message is too long', { length });
  return length;
}
