/** A client of our own that pastes files which others have copied: none that people have does it here, without FUSE. */
import type { Desktop } from '#display/desktop/desktop.ts';
import { ClientSession } from '../../../server/rdp/client-session.ts';
import { PduReader, PduWriter, utf16Text } from '../../../server/rdp/pdu/bytes.ts';
import { ChannelAssembler, encodeChannelChunks } from '../../../server/rdp/pdu/channel.ts';
import { PROTOCOL } from '../../../server/rdp/pdu/x224.ts';
import { WireClient } from '../../../server/rdp/wire-client.suite.ts';
import { eventually } from './rdp-clients.ts';

/** [MS-RDPECLIP] 2.2.1, msgType. */
const TYPE = {
  formats: 2,
  taken: 3,
  dataRequest: 4,
  data: 5,
  capabilities: 7,
  contentsRequest: 8,
  contents: 9,
} as const;

interface Message {
  readonly type: number;
  readonly ok: boolean;
  readonly body: PduReader;
}

export class WirePaster {
  readonly #client: WireClient;
  readonly #session: ClientSession;
  readonly #assembler = new ChannelAssembler(4 << 20);
  #formats = new Map<string, number>();
  #answers: Message[] = [];
  #stream = 0;

  private constructor(desktop: Desktop) {
    this.#client = new WireClient({ protocols: PROTOCOL.ssl, channels: ['cliprdr'] }, (bytes) =>
      this.#session.receive(bytes),
    );
    this.#client.selectedProtocol = PROTOCOL.ssl;
    this.#session = new ClientSession({
      desktop,
      policy: { method: 'negotiate', credSsp: undefined, credSspOnly: false },
      videoQuality: 75,
      nowMs: () => performance.now(),
      later: (ms, what) => {
        const timer = setTimeout(what, ms);
        return () => clearTimeout(timer);
      },
      disabled: { display: true, input: false, audio: true },
      clipboard: { fromClient: true, toClient: true, files: true },
      standardKey: () => {
        throw new Error('TLS needs none');
      },
      send: (bytes) => {
        this.#client.take(bytes);
        return true;
      },
      startTls: () => {},
      random: (count) => new Uint8Array(count).fill(9),
      authenticate: async () => undefined,
      slowDown: async () => {},
      onWrongPassword: () => {},
      onActive: () => ({ logonId: 1, random: new Uint8Array(16) }),
      onEnd: () => {},
      note: () => {},
    });
  }

  static async enter(desktop: Desktop): Promise<WirePaster> {
    const paster = new WirePaster(desktop);
    for (const step of paster.#client.steps()) {
      step();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const general = new PduWriter().u16(1).u16(0).u16(1).u16(12).u32(2).u32(6).done();
    paster.#send(TYPE.capabilities, 0, general);
    paster.#send(TYPE.formats, 0);
    return paster;
  }

  /** Names of the formats that it could paste; those of Windows have none. */
  get formats(): readonly string[] {
    this.#listen();
    return [...this.#formats.keys()];
  }

  /** @returns undefined: there are none */
  async list(): Promise<{ readonly name: string; readonly byteCount: number }[] | undefined> {
    this.#listen();
    const w = new PduWriter().u32(this.#formats.get('FileGroupDescriptorW') ?? 0);
    this.#send(TYPE.dataRequest, 0, w.done());
    const { ok, body } = await this.#answer(TYPE.data);
    if (!ok) return undefined;
    return Array.from({ length: body.u32() }, () => {
      const one = body.part(592);
      one.skip(4 + 32 + 4 + 24);
      const [high, low] = [one.u32(), one.u32()];
      return { name: utf16Text(one.take(520)), byteCount: high * 2 ** 32 + low };
    });
  }

  /** @returns undefined: it cannot be had */
  async read(index: number, at: number, byteCount: number): Promise<Uint8Array | undefined> {
    const w = new PduWriter()
      .u32(++this.#stream)
      .u32(index)
      .u32(2)
      .u32(at)
      .u32(0)
      .u32(byteCount);
    this.#send(TYPE.contentsRequest, 0, w.done());
    const { ok, body } = await this.#answer(TYPE.contents);
    if (body.u32() !== this.#stream) throw new Error('an answer to another question');
    return ok ? body.rest() : undefined;
  }

  leave(): void {
    this.#session.lost();
  }

  async #answer(type: number): Promise<Message> {
    return await eventually(`an answer of type ${type}`, () => {
      this.#listen();
      const at = this.#answers.findIndex((one) => one.type === type);
      return at < 0 ? undefined : this.#answers.splice(at, 1)[0];
    });
  }

  #listen(): void {
    for (const { kind, packet } of this.#client.received.splice(0)) {
      if (kind !== 'tpkt') continue;
      const r = new PduReader(packet, 7);
      r.skip(3);
      if (r.u16be() !== this.#client.channelIds[0]) continue;
      r.skip(1);
      const length = r.u8();
      if (length & 0x80) r.skip(1);
      const message = this.#assembler.take(r);
      if (message) this.#take(new PduReader(message));
    }
  }

  #take(r: PduReader): void {
    const [type, flags] = [r.u16(), r.u16()];
    const body = r.part(r.u32());
    this.#answers.push({ type, ok: (flags & 1) !== 0, body });
    if (type !== TYPE.formats) return;
    this.#formats = new Map();
    while (body.remaining > 0) {
      const id = body.u32();
      let name = '';
      for (let unit = body.u16(); unit !== 0; unit = body.u16()) name += String.fromCharCode(unit);
      this.#formats.set(name, id);
    }
    this.#send(TYPE.taken, 1);
  }

  #send(type: number, flags: number, body: Uint8Array = new Uint8Array(0)): void {
    const message = new PduWriter().u16(type).u16(flags).u32(body.length).bytes(body).done();
    for (const chunk of encodeChannelChunks(message)) this.#client.sendData(this.#client.channelIds[0], chunk);
  }
}
