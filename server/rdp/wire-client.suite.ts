/** A client for tests that speaks the protocol byte by byte, to a server without sockets. Only what the tests need. */
import { constants, createPublicKey, publicEncrypt } from 'node:crypto';
import { BER_TAG, ber, berInteger, concat, readBer, readPerLength, writePerLength } from './pdu/ber.ts';
import { PduReader, PduWriter } from './pdu/bytes.ts';
import { packetLength } from './pdu/tpkt.ts';
import { encodeData } from './pdu/x224.ts';
import { StandardSecurity } from './security/standard-security.ts';

const SEC = { exchange: 1, encrypt: 8, info: 0x40, checksum: 0x800 } as const;
export const USER_CHANNEL_BASE = 1001;

export interface WireOptions {
  /** Bits of PROTOCOL; undefined: no negotiation request. */
  readonly protocols?: number;
  readonly encryptionMethods?: number;
  readonly salted?: boolean;
  readonly fastPath?: boolean;
  readonly colorDepth?: number;
  readonly channels?: readonly string[];
  /** Offers to measure the network. */
  readonly measures?: boolean;
  /** Offers the graphics pipeline. */
  readonly hasPipeline?: boolean;
  readonly user?: string;
  readonly domain?: string;
  /** Monitors of 100 pixels, side by side; it wants to be told how they are used. */
  readonly monitors?: number;
  readonly password?: string;
  /** The size that it asks for; default: 800 by 600. */
  readonly size?: readonly [width: number, height: number];
}

export interface Received {
  readonly kind: 'tpkt' | 'fast-path';
  readonly packet: Uint8Array;
}

/** [MS-RDPBCGR] 2.2.8.1.1.1.2, pduType2. */
const MONITOR_LAYOUT = 0x37;

export class WireClient {
  readonly options: WireOptions;
  readonly received: Received[] = [];
  security: StandardSecurity | undefined;
  userId = 0;
  ioChannel = 1003;
  channelIds: number[] = [];
  messageChannel: number | undefined;
  shareId = 0;
  /** The size that the server demanded last. */
  demanded: readonly [width: number, height: number] | undefined;
  /** What the server said last of monitors. */
  monitorLayout: number[] | undefined;
  readonly #send: (bytes: Uint8Array) => void;
  #buffer: Uint8Array = new Uint8Array(0);

  constructor(options: WireOptions, send: (bytes: Uint8Array) => void) {
    this.options = options;
    this.#send = send;
  }

  /** Bytes from the server. */
  take(bytes: Uint8Array): void {
    this.#buffer = concat(this.#buffer, bytes);
    for (;;) {
      const length = packetLength(this.#buffer);
      if (length === undefined || this.#buffer.length < length) return;
      const packet = this.#buffer.slice(0, length);
      this.#buffer = this.#buffer.slice(length);
      this.received.push({ kind: packet[0] === 3 ? 'tpkt' : 'fast-path', packet });
    }
  }

  next(): Received {
    const one = this.received.shift();
    if (!one) throw new Error('the server has sent nothing');
    return one;
  }

  /** The PDUs of each step, in order; each is sent when the one before was answered. */
  steps(): readonly (() => void)[] {
    const names = [...(this.options.channels ?? []), ...(this.options.measures ? ['message channel'] : [])];
    const joins = [0, 1, ...names.map((_, i) => i + 2)].map((n) => () => {
      if (n === 0) this.readAttachConfirm();
      this.received.length = 0;
      const channel =
        n === 0 ? this.userId : n === 1 ? this.ioChannel : (this.channelIds[n - 2] ?? this.messageChannel ?? 0);
      this.#send(
        encodeData(
          new PduWriter()
            .u8(0x38)
            .u16be(this.userId - USER_CHANNEL_BASE)
            .u16be(channel)
            .done(),
        ),
      );
    });
    return [
      () => this.sendConnectionRequest(),
      () => this.sendConnectInitial(),
      () => this.#send(encodeData(Uint8Array.of(0x04, 1, 0, 1, 0))),
      () => this.attachUser(),
      ...joins,
      () => this.exchangeKeys(),
      () => this.sendInfo(),
      () => this.confirmActive(),
      () => this.finalize(),
    ];
  }

  sendConnectionRequest(): void {
    const cookie = 'Cookie: mstshash=wire\r\n';
    const { protocols } = this.options;
    const negotiation = protocols === undefined ? new Uint8Array(0) : requestOf(protocols);
    const length = 6 + cookie.length + negotiation.length;
    const w = new PduWriter()
      .u8(3)
      .u8(0)
      .u16be(length + 5)
      .u8(length)
      .u8(0xe0)
      .u16(0)
      .u16(0)
      .u8(0);
    this.#send(w.ascii(cookie).bytes(negotiation).done());
  }

  sendConnectInitial(): void {
    this.received.length = 0;
    const gcc = this.#conferenceCreateRequest();
    const parameters = ber(BER_TAG.sequence, concat(...[34, 2, 0, 1, 0, 1, 0xffff, 2].map(berInteger)));
    const one = ber(BER_TAG.octetString, Uint8Array.of(1));
    const flag = ber(BER_TAG.boolean, Uint8Array.of(0xff));
    const body = concat(one, one, flag, parameters, parameters, parameters, ber(BER_TAG.octetString, gcc));
    this.#send(encodeData(ber(0x7f65, body)));
  }

  attachUser(): void {
    this.#readConnectResponse(new PduReader(this.next().packet, 7));
    this.#send(encodeData(Uint8Array.of(0x28)));
  }

  readAttachConfirm(): void {
    const confirm = new PduReader(this.next().packet, 9);
    this.userId = confirm.u16be() + USER_CHANNEL_BASE;
  }

  #serverRandom: Uint8Array = new Uint8Array(0);
  #method = 0;
  #modulus: Uint8Array = new Uint8Array(0);

  exchangeKeys(): void {
    if (this.#method === 0) return;
    const clientRandom = Uint8Array.from({ length: 32 }, (_, i) => i * 7 + 1);
    const bigEndian = new Uint8Array(this.#modulus.length);
    bigEndian.set(clientRandom.slice().reverse(), bigEndian.length - 32);
    const n = Buffer.from(this.#modulus.slice().reverse()).toString('base64url');
    const key = createPublicKey({ key: { kty: 'RSA', n, e: 'AQAB' }, format: 'jwk' });
    const encrypted = publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, bigEndian);
    const w = new PduWriter()
      .u16(SEC.exchange)
      .u16(0)
      .u32(encrypted.length + 8);
    w.bytes(Uint8Array.from(encrypted).reverse()).zeros(8);
    this.#sendMcs(this.ioChannel, w.done());
    this.security = new StandardSecurity(clientRandom, this.#serverRandom, this.#method, 'client');
  }

  sendInfo(): void {
    this.received.length = 0;
    const { user = 'wire', password = 'secret', domain = '' } = this.options;
    const w = new PduWriter().u32(0).u32(0x10);
    for (const text of [domain, user, password, '', '']) w.u16(text.length * 2);
    for (const text of [domain, user, password, '', '']) w.utf16(text).u16(0);
    this.sendData(this.ioChannel, w.done(), SEC.info);
  }

  confirmActive(): void {
    // Licence, then demand active.
    this.readData();
    const demand = this.readData();
    demand.skip(6);
    this.shareId = demand.u32();
    this.demanded = demandedSize(demand);
    const { fastPath = true, colorDepth = 32 } = this.options;
    const sets = [
      capability(
        1,
        new PduWriter()
          .u16(1)
          .u16(3)
          .u16(0x200)
          .u16(0)
          .u16(0)
          .u16(fastPath ? 0x401 : 0)
          .zeros(8),
      ),
      capability(2, new PduWriter().u16(colorDepth).zeros(10).u16(0).u16(1).u16(0).u8(0).u8(8).u16(0).u16(0)),
    ];
    const bytes = sets.reduce((sum, set) => sum + set.length, 0);
    const body = new PduWriter()
      .u32(this.shareId)
      .u16(1002)
      .u16(4)
      .u16(4 + bytes)
      .ascii('WIRE')
      .u16(sets.length);
    body.u16(0);
    for (const set of sets) body.bytes(set);
    this.sendShareControl(3, body.done());
  }

  finalize(): void {
    this.sendShareData(0x1f, new PduWriter().u16(1).u16(1002).done());
    this.sendShareData(0x14, new PduWriter().u16(4).u16(0).u32(0).done());
    this.sendShareData(0x14, new PduWriter().u16(1).u16(0).u32(0).done());
    this.sendShareData(0x27, new PduWriter().u16(0).u16(0).u16(3).u16(50).done());
    const first = this.readData();
    first.skip(14);
    if (first.u8() === MONITOR_LAYOUT) {
      first.skip(3);
      this.monitorLayout = Array.from({ length: first.remaining / 4 }, () => first.u32());
      this.readData();
    }
    for (let i = 0; i < 3; i++) this.readData();
  }

  sendShareControl(type: number, body: Uint8Array): void {
    const w = new PduWriter()
      .u16(6 + body.length)
      .u16(type | 0x10)
      .u16(this.userId)
      .bytes(body);
    this.sendData(this.ioChannel, w.done());
  }

  sendShareData(type: number, body: Uint8Array): void {
    const w = new PduWriter()
      .u32(this.shareId)
      .u8(0)
      .u8(1)
      .u16(12 + body.length)
      .u8(type)
      .u8(0)
      .u16(0);
    this.sendShareControl(7, w.bytes(body).done());
  }

  /** A key by a fast-path input PDU. */
  sendFastKey(code: number, down: boolean): void {
    const events = Uint8Array.of(down ? 0 : 1, code);
    const mac = this.security?.encrypt(events, this.options.salted);
    const length = 2 + (mac?.length ?? 0) + events.length;
    const flags = mac ? 2 | (this.options.salted ? 1 : 0) : 0;
    this.#send(concat(Uint8Array.of((1 << 2) | (flags << 6), length), mac ?? new Uint8Array(0), events));
  }

  sendData(channelId: number, payload: Uint8Array, flags = 0): void {
    if (!this.security && flags === 0) {
      this.#sendMcs(channelId, payload);
      return;
    }
    const body = payload.slice();
    const salted = this.options.salted ?? false;
    const mac = this.security?.encrypt(body, salted) ?? new Uint8Array(0);
    const all = flags | (this.security ? SEC.encrypt | (salted ? SEC.checksum : 0) : 0);
    this.#sendMcs(channelId, concat(Uint8Array.of(all & 255, all >> 8, 0, 0), mac, body));
  }

  /** Payload of the next data packet, decrypted. */
  readData(): PduReader {
    const r = new PduReader(this.next().packet, 7);
    r.skip(6);
    const payload = r.part(readPerLength(r));
    if (!this.security) return payload;
    payload.skip(4);
    const mac = payload.take(8);
    this.security.decrypt(mac, payload.bytes.subarray(payload.at, payload.end), false);
    return payload;
  }

  /** Payload of the next fast-path packet, decrypted. */
  readFastPath(): PduReader {
    const { packet } = this.next();
    const r = new PduReader(packet, 3);
    if (!this.security) return r;
    const mac = r.take(8);
    this.security.decrypt(mac, packet.subarray(r.at), false);
    return r;
  }

  #sendMcs(channelId: number, payload: Uint8Array): void {
    const w = new PduWriter()
      .u8(0x64)
      .u16be(this.userId - USER_CHANNEL_BASE)
      .u16be(channelId)
      .u8(0x70);
    this.#send(encodeData(writePerLength(w, payload.length).bytes(payload).done()));
  }

  #conferenceCreateRequest(): Uint8Array {
    const {
      encryptionMethods = 3,
      colorDepth = 32,
      channels = [],
      hasPipeline = false,
      monitors = 0,
      measures = false,
      size: [width, height] = [800, 600],
    } = this.options;
    const core = new PduWriter().u16(0xc001).u16(216).u32(0x80004).u16(width).u16(height).u16(0xca01).u16(0xaa03);
    core.u32(0x409).u32(2600).utf16('wire'.padEnd(16, '\0')).u32(4).u32(0).u32(12).zeros(64);
    core
      .u16(0xca01)
      .u16(1)
      .u32(0)
      .u16(Math.min(colorDepth, 24))
      .u16(15)
      .u16((colorDepth === 32 ? 3 : 1) | (hasPipeline ? 0x100 : 0) | (measures ? 0x80 : 0) | (monitors > 0 ? 0x40 : 0))
      .zeros(64);
    core.zeros(2).u32(this.selectedProtocol);
    const security = new PduWriter().u16(0xc002).u16(12).u32(encryptionMethods).u32(0);
    const network = new PduWriter()
      .u16(0xc003)
      .u16(8 + channels.length * 12)
      .u32(channels.length);
    for (const name of channels) network.ascii(name, 8).u32(0xc0000000);
    const message = new PduWriter();
    if (measures) message.u16(0xc006).u16(8).u32(0);
    const layout = new PduWriter();
    if (monitors > 0)
      layout
        .u16(0xc005)
        .u16(12 + monitors * 20)
        .u32(0)
        .u32(monitors);
    for (let i = 0; i < monitors; i++) {
      layout
        .u32(i * 100)
        .u32(0)
        .u32(i * 100 + 99)
        .u32(99)
        .u32(i === 0 ? 1 : 0);
    }
    const blocks = concat(core.done(), security.done(), network.done(), layout.done(), message.done());
    const w = new PduWriter().bytes([0, 5, 0, 0x14, 0x7c, 0, 1]);
    writePerLength(w, blocks.length + 14)
      .bytes([0, 8, 0, 0x10, 0, 1, 0xc0, 0])
      .ascii('Duca');
    return writePerLength(w, blocks.length).bytes(blocks).done();
  }

  /** What the client says was negotiated. */
  selectedProtocol = 0;

  #readConnectResponse(r: PduReader): void {
    const body = readBer(r, 0x7f66);
    readBer(body, BER_TAG.enumerated);
    readBer(body, BER_TAG.integer);
    readBer(body, BER_TAG.sequence);
    const gcc = readBer(body, BER_TAG.octetString);
    gcc.skip(21);
    const blocks = gcc.part(readPerLength(gcc));
    while (blocks.remaining > 0) {
      const type = blocks.u16();
      const block = blocks.part(blocks.u16() - 4);
      if (type === 0x0c03) {
        this.ioChannel = block.u16();
        this.channelIds = Array.from({ length: block.u16() }, () => block.u16());
      } else if (type === 0x0c04) {
        this.messageChannel = block.u16();
      } else if (type === 0x0c02) {
        this.#method = block.u32();
        block.skip(4);
        if (this.#method === 0) continue;
        const randomBytes = block.u32();
        block.skip(4);
        this.#serverRandom = block.take(randomBytes).slice();
        block.skip(12 + 4 + 4 + 4);
        const modulusBytes = block.u32() / 8;
        block.skip(8);
        this.#modulus = block.take(modulusBytes).slice();
      }
    }
  }
}

/** [MS-RDPBCGR] 2.2.1.13.1.1 from lengthSourceDescriptor; 2.2.7.1.2. */
function demandedSize(r: PduReader): readonly [width: number, height: number] | undefined {
  const source = r.u16();
  r.skip(2 + source);
  const count = r.u16();
  r.skip(2);
  for (let i = 0; i < count; i++) {
    const type = r.u16();
    const set = r.part(r.u16() - 4);
    if (type !== 2) continue;
    set.skip(8);
    return [set.u16(), set.u16()];
  }
  return undefined;
}

const requestOf = (protocols: number): Uint8Array => new PduWriter().u8(1).u8(0).u16(8).u32(protocols).done();

function capability(type: number, body: PduWriter): Uint8Array {
  const bytes = body.done();
  return new PduWriter()
    .u16(type)
    .u16(4 + bytes.length)
    .bytes(bytes)
    .done();
}
