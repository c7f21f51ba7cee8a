import { SENSE, type Sense } from './sense.ts';

/**
 * Mode pages of a CD/DVD reader.
 * Source: MMC-3 (T10/1363-D), 5.5 (mode parameters); SPC-3, 7.4.
 *
 * Each page is its bytes with what MODE SELECT may change: `mask` bits.
 */
export interface ModePage {
  readonly code: number;
  readonly initial: readonly number[];
  readonly mask: readonly number[];
}

/** Page control field of MODE SENSE. */
const PAGE_CONTROL = { current: 0, changeable: 1, initial: 2, saved: 3 } as const;
const ALL_PAGES = 0x3f;

const PAGES: readonly ModePage[] = [
  // Read error recovery: behaviour bits and the retry count.
  { code: 0x01, initial: [0x00, 0x05, 0, 0, 0, 0, 0, 0, 0, 0], mask: [0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0] },
  // CD device parameters: inactivity timer, 60 seconds a minute, 75 frames a second.
  { code: 0x0d, initial: [0, 0x0d, 0, 60, 0, 75], mask: [0, 0x0f, 0, 0, 0, 0] },
  // CD audio control: immediate, two ports at full volume.
  {
    code: 0x0e,
    initial: [0x04, 0, 0, 0, 0, 75, 0x01, 0xff, 0x02, 0xff, 0, 0, 0, 0],
    mask: [0x02, 0, 0, 0, 0, 0, 0x0f, 0xff, 0x0f, 0xff, 0, 0, 0, 0],
  },
  // Power condition: the timers are kept, nothing spins down.
  {
    code: 0x1a,
    initial: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    mask: [0, 0x03, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  },
  // CD capabilities and mechanical status: reads CD-R, CD-RW, DVD-ROM; mode 2 forms; tray, lock, eject; 706 kB/s = 4x.
  {
    code: 0x2a,
    initial: [0x0b, 0, 0x70, 0, 0x29, 0, 0x02, 0xc2, 0, 0, 0x02, 0, 0x02, 0xc2, 0, 0, 0, 0],
    mask: new Array<number>(18).fill(0),
  },
];
const CAPABILITIES = 0x2a;
/** Byte 4 of the capabilities page's data: bit 1 says that the door is locked now. */
const LOCK_STATE = 1 << 1;

export type ModePageState = Record<string, number[]>;

export class ModePages {
  readonly #current = new Map<number, number[]>();

  constructor() {
    this.reset();
  }

  reset(): void {
    for (const page of PAGES) this.#current.set(page.code, [...page.initial]);
  }

  /**
   * Encodes the pages MODE SENSE asks for.
   * @param code page code, 3Fh for all
   * @param control page control 0..3
   * @returns bytes written from `at`, or why there are none
   */
  encode(into: Uint8Array, at: number, code: number, control: number, locked: boolean): number | Sense {
    if (control === PAGE_CONTROL.saved) return SENSE.savingParametersNotSupported;
    const asked = PAGES.filter((p) => code === ALL_PAGES || p.code === code);
    if (asked.length === 0) return SENSE.invalidFieldInCdb;
    let end = at;
    for (const page of asked) {
      const bytes =
        control === PAGE_CONTROL.changeable
          ? page.mask
          : control === PAGE_CONTROL.initial
            ? page.initial
            : (this.#current.get(page.code) ?? page.initial);
      into[end] = page.code;
      into[end + 1] = bytes.length;
      into.set(bytes, end + 2);
      if (page.code === CAPABILITIES && control === PAGE_CONTROL.current && locked) into[end + 6] |= LOCK_STATE;
      end += 2 + bytes.length;
    }
    return end - at;
  }

  /** Takes the parameter list of MODE SELECT. @returns why it was refused; nothing is changed then */
  select(list: Uint8Array, headerBytes: number): Sense | undefined {
    if (list.length === 0) return undefined;
    if (list.length < headerBytes) return SENSE.parameterListLengthError;
    const descriptorBytes = headerBytes === 4 ? list[3] : (list[6] << 8) | list[7];
    let at = headerBytes + descriptorBytes;
    const changes: [page: ModePage, from: number][] = [];
    while (at < list.length) {
      const page = PAGES.find((p) => p.code === (list[at] & 0x3f));
      if (!page) return SENSE.invalidFieldInParameterList;
      if (at + 2 + page.initial.length > list.length) return SENSE.parameterListLengthError;
      if (list[at + 1] !== page.initial.length) return SENSE.invalidFieldInParameterList;
      changes.push([page, at + 2]);
      at += 2 + page.initial.length;
    }
    for (const [page, from] of changes) {
      const current = this.#current.get(page.code) ?? [...page.initial];
      page.mask.forEach((mask, i) => {
        current[i] = (current[i] & ~mask) | (list[from + i] & mask);
      });
      this.#current.set(page.code, current);
    }
    return undefined;
  }

  save(): ModePageState {
    return Object.fromEntries([...this.#current].map(([code, bytes]) => [String(code), [...bytes]]));
  }

  restore(state: ModePageState): void {
    for (const [code, bytes] of Object.entries(state)) this.#current.set(Number(code), [...bytes]);
  }
}
