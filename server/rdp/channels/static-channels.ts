/** The static virtual channels of one client, by name: messages go out in chunks and come in whole. */
import type { PduReader } from '../pdu/bytes.ts';
import { ChannelAssembler, encodeChannelChunks } from '../pdu/channel.ts';
import type { Link } from '../sequence/link.ts';

/** Bytes of the longest message that a client may send. */
const MAX_MESSAGE = 4 * 1024 * 1024;

export class StaticChannels {
  readonly #link: Link;
  /** Names by MCS channel id, as the client asked for them. */
  readonly #names: ReadonlyMap<number, string>;
  readonly #receivers = new Map<number, { assembler: ChannelAssembler; take: (message: Uint8Array) => void }>();

  constructor(link: Link, names: ReadonlyMap<number, string>) {
    this.#link = link;
    this.#names = names;
  }

  /**
   * @param take gets each message; what it throws as PduError ends the connection
   * @returns a function that sends a message; undefined when the client has no such channel
   */
  open(name: string, take: (message: Uint8Array) => void): ((message: Uint8Array) => void) | undefined {
    for (const [id, known] of this.#names) {
      if (known !== name) continue;
      this.#receivers.set(id, { assembler: new ChannelAssembler(MAX_MESSAGE), take });
      return (message) => {
        for (const chunk of encodeChannelChunks(message)) this.#link.sendToChannel(id, chunk);
      };
    }
    return undefined;
  }

  /** What nobody has opened is dropped. @throws PduError */
  receive(channelId: number, chunk: PduReader): void {
    const receiver = this.#receivers.get(channelId);
    const message = receiver?.assembler.take(chunk);
    if (message) receiver?.take(message);
  }
}
