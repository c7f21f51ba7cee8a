/** The client's end of dynamic channels, for tests on the wire: answers are found by `answer`. [MS-RDPEDYC] 2.2. */
import type { PduReader } from '../pdu/bytes.ts';
import type { WireClient } from '../wire-client.suite.ts';

const [CREATE, DATA_FIRST, DATA, CLOSE, CAPABILITIES] = [1, 2, 3, 4, 5];
/** Bytes of a channel PDU in front of what is in it: [MS-RDPBCGR] 2.2.6.1.1. */
const CHUNK_HEADER_BYTES = 8;

export class WireDynamicChannels {
  readonly #client: WireClient;
  readonly #has: (name: string) => boolean;
  readonly #answer: (channel: number, name: string, message: Uint8Array) => Uint8Array | undefined;
  readonly #names = new Map<number, string>();
  readonly #parts = new Map<number, { readonly bytes: Uint8Array; at: number }>();

  /** @param has whether the client has a channel of that name. @param answer what it says to a message */
  constructor(
    client: WireClient,
    has: (name: string) => boolean,
    answer: (channel: number, name: string, message: Uint8Array) => Uint8Array | undefined,
  ) {
    this.#client = client;
    this.#has = has;
    this.#answer = answer;
  }

  /** Takes in what has come, and what comes for the answers; pictures of the screen are passed over. */
  settle(): void {
    while (this.#client.received.length > 0) {
      if (this.#client.received[0].kind === 'fast-path') {
        this.#client.next();
        continue;
      }
      const r = this.#client.readData();
      r.skip(CHUNK_HEADER_BYTES);
      this.#take(r);
    }
  }

  say(channel: number, message: Uint8Array): void {
    this.#send([DATA << 4, channel, ...message]);
  }

  #take(r: PduReader): void {
    const header = r.u8();
    const command = header >>> 4;
    if (command === CAPABILITIES) {
      this.#send([CAPABILITIES << 4, 0, 1, 0]);
      return;
    }
    const channel = r.u8();
    if (command === CREATE) {
      const name = String.fromCharCode(...r.rest().subarray(0, -1));
      this.#names.set(channel, name);
      this.#send([CREATE << 4, channel, ...(this.#has(name) ? [0, 0, 0, 0] : [1, 0, 0, 0x80])]);
    } else if (command === CLOSE) this.#send([CLOSE << 4, channel]);
    else if (command === DATA_FIRST) {
      this.#parts.set(channel, { bytes: new Uint8Array(r.u32()), at: 0 });
      this.#more(channel, r.rest());
    } else this.#more(channel, r.rest());
  }

  #more(channel: number, part: Uint8Array): void {
    const whole = this.#parts.get(channel);
    if (!whole) {
      this.#heard(channel, part);
      return;
    }
    whole.bytes.set(part, whole.at);
    whole.at += part.length;
    if (whole.at < whole.bytes.length) return;
    this.#parts.delete(channel);
    this.#heard(channel, whole.bytes);
  }

  #heard(channel: number, message: Uint8Array): void {
    const answer = this.#answer(channel, this.#names.get(channel) ?? '', message);
    if (answer) this.say(channel, answer);
  }

  #send(pdu: readonly number[]): void {
    const client = this.#client;
    client.sendData(client.channelIds[0], Uint8Array.of(pdu.length, 0, 0, 0, 3, 0, 0, 0, ...pdu));
  }
}
