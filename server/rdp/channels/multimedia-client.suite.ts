/** A client with TSMF for tests, written from [MS-RDPEV] alone: no client at hand has it. What it is told, it notes. */
import { PduReader, PduWriter } from '../pdu/bytes.ts';

const [PROXY, STUB] = [0x4000_0000, 0x8000_0000];

/** What it says no to. */
export interface Dislikes {
  readonly interface?: boolean;
  readonly format?: boolean;
  readonly topology?: boolean;
}

/** What it has been shown. */
export interface ShownSample {
  readonly data: readonly number[];
  readonly extensions: number;
}

export class MultimediaClient {
  /** Whose a channel is: the last byte of the presentation's id, and the stream. */
  readonly #channels = new Map<number, { presentation: number; stream: number }>();
  readonly #dislikes: Dislikes;
  readonly said: string[] = [];
  readonly shown: ShownSample[] = [];
  /** What is to be acknowledged: by which channel, and how. */
  readonly #played: { channel: number; message: Uint8Array }[] = [];

  constructor(dislikes: Dislikes = {}) {
    this.#dislikes = dislikes;
  }

  /** @param channel a number for it. @returns what it answers */
  take(channel: number, bytes: Uint8Array): Uint8Array | undefined {
    const r = new PduReader(bytes);
    const face = r.u32();
    const message = r.u32();
    const id = r.u32();
    if (face === 2 && id === 0x100) {
      if (r.u32() !== 1) throw new Error('an unknown version of the interface');
      return new PduWriter()
        .u32(2)
        .u32(message)
        .u32(1)
        .u32(this.#dislikes.interface ? 0x8000_4005 : 0)
        .done();
    }
    if (face !== PROXY) throw new Error(`interface ${face.toString(16)}`);
    const answer = (...values: number[]): Uint8Array => {
      const w = new PduWriter().u32(STUB).u32(message);
      for (const value of values) w.u32(value);
      return w.done();
    };
    if (id === 0x100) {
      if (r.u32() !== 2) throw new Error('two capabilities are usual');
      return answer(2, 1, 4, 2, 2, 4, 3, 0);
    }
    if (id === 0x108) {
      const platform = r.u32();
      r.u32();
      const type = this.#mediaType(r);
      this.said.push(`can you ${type}?`);
      return answer(this.#dislikes.format ? 0 : 1, platform, 0);
    }
    const presentation = r.take(16)[15];
    const note = (what: string): undefined => void this.said.push(`${presentation}: ${what}`);
    switch (id) {
      case 0x101:
        this.#channels.set(channel, { presentation, stream: r.u32() });
        return undefined;
      case 0x102:
        return note(`stream ${r.u32()} ${this.#mediaType(r)}`);
      case 0x103:
        return this.#sample(channel, presentation, message, r);
      case 0x104:
        return note('window');
      case 0x105:
        return note(`new on ${r.u32()}`);
      case 0x106:
        note('shut down');
        return answer(0);
      case 0x107:
        note('topology');
        return answer(this.#dislikes.topology ? 0 : 1, 0);
      case 0x109:
        return note('play');
      case 0x10b:
        return note('stop');
      case 0x114:
        return note(`at ${this.#geometry(r)}`);
      case 0x115:
        return note(`no stream ${r.u32()}`);
      default:
        throw new Error(`function ${id.toString(16)}`);
    }
  }

  /** Acknowledgements of what it has shown since. */
  acknowledge(): { readonly channel: number; readonly message: Uint8Array }[] {
    return this.#played.splice(0);
  }

  #sample(channel: number, presentation: number, message: number, r: PduReader): undefined {
    const stream = r.u32();
    const at = this.#channels.get(channel);
    if (at?.presentation !== presentation || at.stream !== stream) throw new Error('a sample on another channel');
    const sample = r.part(r.u32());
    const times = [sample.take(8), sample.take(8)].map((bytes) =>
      new DataView(bytes.slice().buffer).getBigInt64(0, true),
    );
    if (times[1] <= times[0]) throw new Error('a sample that ends before it begins');
    const duration = sample.take(8);
    sample.skip(4);
    const extensions = sample.u32();
    const bytes = sample.u32();
    this.shown.push({ extensions, data: [...sample.take(bytes)] });
    if (sample.remaining > 0) throw new Error('something behind a sample');
    const w = new PduWriter()
      .u32(1 + PROXY)
      .u32(message)
      .u32(0x100)
      .u32(stream)
      .bytes(duration);
    this.#played.push({ channel, message: w.u32(bytes).u32(0).done() });
    return undefined;
  }

  /** Its four characters, width and height; the format is a VIDEOINFOHEADER. */
  #mediaType(outer: PduReader): string {
    const r = outer.part(outer.u32());
    const name = (): string => String.fromCharCode(...r.take(16).subarray(0, 4));
    const [major, sub] = [name(), name()];
    r.skip(12);
    if (r.take(16)[0] !== 0x80) throw new Error('no FORMAT_VideoInfo');
    const format = r.part(r.u32());
    format.skip(48);
    if (format.u32() !== 40) throw new Error('no BITMAPINFOHEADER');
    const [width, height] = [format.u32(), format.u32()];
    format.skip(4);
    const compression = String.fromCharCode(...format.take(4));
    format.skip(20);
    if (format.remaining > 0 || r.remaining > 0) throw new Error('something behind a media type');
    return `${major} ${sub} ${compression} ${width}x${height}`;
  }

  #geometry(r: PduReader): string {
    const info = r.part(r.u32());
    info.skip(12);
    const [width, height, left, top] = [info.u32(), info.u32(), info.u32(), info.u32()];
    info.skip(16);
    const visible = r.part(r.u32());
    const edges = [visible.u32(), visible.u32(), visible.u32(), visible.u32()];
    return `${left},${top} ${width}x${height} (${edges.join()})`;
  }
}
