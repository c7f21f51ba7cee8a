/**
 * A block ring: one disk's requests and answers between the machine's thread and the worker that owns the storage.
 * Both sides see one SharedArrayBuffer; neither ever waits for the other inside a call.
 *
 * ```
 * machine                                              storage worker
 * submit: fill slot, queue it, ring the ring's bell  ->  sleeps on the ring's bell
 * poll:   take answers, run `done`, refill slots     <-  carry out, queue the answer, ring the machine's doorbell
 * ```
 *
 * Source: ECMA-262 (2024) section 25.4 (Atomics), section 29 (memory model: what is written before an atomic store is
 * seen after the atomic load that reads it).
 * Not modelled: trim; priorities (answers come in any order, requests leave in order).
 */
import { CodedError } from '#base/errors.ts';
import { KIB, SECTOR_BYTES } from '#base/units.ts';
import type { BlockPort, BlockRequest, BlockStatus } from './block.ts';

/** What the answering side needs of a disk; every `BlockStore` of the storage folder is one. */
export interface BlockRingStore {
  readonly sectorCount: number;
  readonly writable: boolean;
  read(sector: number, into: Uint8Array): Promise<void>;
  write(sector: number, from: Uint8Array): Promise<void>;
  flush(): Promise<void>;
}

export interface BlockRingSize {
  /** Requests under way at once; a power of two, default 16. */
  readonly slotCount?: number;
  /** Bytes one slot carries; a whole number of sectors, default 64 KiB. Larger requests are split. */
  readonly slotBytes?: number;
}

/** Indexes of 32-bit words at the front of the buffer. Heads count up for ever and wrap; a slot is taken modulo. */
const WORD = {
  slotCount: 0,
  slotBytes: 1,
  sectorsLow: 2,
  sectorsHigh: 3,
  writable: 4,
  /** Goes up with every request and when somebody stops the service; the storage worker sleeps on it. */
  bell: 5,
  requestHead: 6,
  answerHead: 7,
  closed: 8,
} as const;
const QUEUES_AT = 16;
/** kind, status, byte length, sector low, sector high; padded. */
const DESCRIPTOR_WORDS = 8;
const FIELD = { kind: 0, status: 1, bytes: 2, sectorLow: 3, sectorHigh: 4 } as const;
const KINDS = ['read', 'write', 'flush'] as const;
const STATUSES = ['ok', 'io', 'full', 'read-only'] as const;
const DATA_ALIGNMENT = 4096;

/** Both sides' view of one ring. */
class RingView {
  readonly words: Int32Array;
  readonly slots: readonly Uint8Array[];
  readonly slotMask: number;
  readonly slotBytes: number;
  readonly requestsAt: number;
  readonly answersAt: number;
  readonly #descriptorsAt: number;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer);
    const slotCount = this.words[WORD.slotCount];
    this.slotBytes = this.words[WORD.slotBytes];
    this.slotMask = slotCount - 1;
    this.requestsAt = QUEUES_AT;
    this.answersAt = QUEUES_AT + slotCount;
    this.#descriptorsAt = QUEUES_AT + 2 * slotCount;
    const dataAt = dataOffset(slotCount);
    this.slots = Array.from(
      { length: slotCount },
      (_, slot) => new Uint8Array(buffer, dataAt + slot * this.slotBytes, this.slotBytes),
    );
  }

  get sectorCount(): number {
    return joined(this.words[WORD.sectorsLow], this.words[WORD.sectorsHigh]);
  }

  get writable(): boolean {
    return this.words[WORD.writable] !== 0;
  }

  descriptor(slot: number): number {
    return this.#descriptorsAt + slot * DESCRIPTOR_WORDS;
  }
}

function dataOffset(slotCount: number): number {
  const bytes = 4 * (QUEUES_AT + 2 * slotCount + slotCount * DESCRIPTOR_WORDS);
  return Math.ceil(bytes / DATA_ALIGNMENT) * DATA_ALIGNMENT;
}

const joined = (low: number, high: number): number => (low >>> 0) + high * 0x1_0000_0000;

/**
 * Memory for one disk's ring, ready to be sent to both sides.
 * @throws CodedError<'bad-ring'> when the sizes are not as `BlockRingSize` says
 */
export function createBlockRing(
  disk: { readonly sectorCount: number; readonly writable: boolean },
  size: BlockRingSize = {},
): SharedArrayBuffer {
  const slotCount = size.slotCount ?? 16;
  const slotBytes = size.slotBytes ?? 64 * KIB;
  if (slotCount < 1 || (slotCount & (slotCount - 1)) !== 0 || slotBytes < SECTOR_BYTES || slotBytes % SECTOR_BYTES) {
    throw new CodedError('bad-ring', 'a block ring needs a power of two of slots, each of whole sectors', {
      slotCount,
      slotBytes,
    });
  }
  const buffer = new SharedArrayBuffer(dataOffset(slotCount) + slotCount * slotBytes);
  const words = new Int32Array(buffer);
  words[WORD.slotCount] = slotCount;
  words[WORD.slotBytes] = slotBytes;
  words[WORD.sectorsLow] = disk.sectorCount | 0;
  words[WORD.sectorsHigh] = Math.floor(disk.sectorCount / 0x1_0000_0000);
  words[WORD.writable] = disk.writable ? 1 : 0;
  return buffer;
}

/** One request while pieces of it are to be sent or answered. */
interface Job {
  readonly request: BlockRequest;
  /** Bytes handed to slots so far. */
  sent: number;
  /** True once the last piece has left. */
  allSent: boolean;
  piecesOut: number;
  status: BlockStatus;
}

/**
 * The machine's end. Requests leave in the order of `submit`; `done` runs inside `poll`, or inside `submit` when the
 * request can be refused at once.
 */
export class RingBlockPort implements BlockPort {
  readonly sectorCount: number;
  readonly writable: boolean;
  readonly #ring: RingView;
  readonly #freeSlots: number[];
  /** Per slot: whose piece it carries, and where the piece lies in that request. */
  readonly #owners: (Job | undefined)[];
  readonly #offsets: number[];
  /** Jobs with pieces still to send, in order. */
  readonly #unsent: Job[] = [];
  #pending = 0;
  #answersSeen = 0;
  #closed = false;

  constructor(ring: SharedArrayBuffer) {
    this.#ring = new RingView(ring);
    this.sectorCount = this.#ring.sectorCount;
    this.writable = this.#ring.writable;
    this.#freeSlots = this.#ring.slots.map((_, slot) => slot);
    this.#owners = this.#ring.slots.map(() => undefined);
    this.#offsets = this.#ring.slots.map(() => 0);
    this.#answersSeen = Atomics.load(this.#ring.words, WORD.answerHead);
  }

  /** Requests submitted and not yet done. */
  get pending(): number {
    return this.#pending;
  }

  submit(request: BlockRequest): void {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) {
      request.done(refusal);
      return;
    }
    this.#pending++;
    this.#unsent.push({ request, sent: 0, allSent: false, piecesOut: 0, status: 'ok' });
    this.#sendPieces();
  }

  /**
   * Runs the completions that have arrived. A thread that has nothing else to do loads its doorbell, polls, and then
   * waits for the doorbell to differ from what it loaded: no answer slips through between.
   * @returns how many requests were completed
   */
  poll(): number {
    const { words, answersAt, slotMask } = this.#ring;
    // Read before the head: whoever closes does so after its last answer.
    const closed = Atomics.load(words, WORD.closed) !== 0;
    const head = Atomics.load(words, WORD.answerHead);
    let completed = 0;
    while (this.#answersSeen !== head) {
      const slot = words[answersAt + (this.#answersSeen & slotMask)];
      this.#answersSeen = (this.#answersSeen + 1) | 0;
      completed += this.#takeAnswer(slot);
    }
    if (closed) return completed + this.#failAll();
    this.#sendPieces();
    return completed;
  }

  #refusal(request: BlockRequest): BlockStatus | undefined {
    if (this.#closed) return 'io';
    if (request.kind === 'flush') return undefined;
    const sectors = request.bytes.length / SECTOR_BYTES;
    if (!Number.isInteger(sectors) || request.sector < 0 || request.sector + sectors > this.sectorCount) return 'io';
    if (request.kind === 'write' && !this.writable) return 'read-only';
    return sectors === 0 ? 'ok' : undefined;
  }

  #sendPieces(): void {
    const { words, requestsAt, slotMask } = this.#ring;
    let sent = 0;
    while (this.#unsent.length > 0 && this.#freeSlots.length > 0) {
      const job = this.#unsent[0];
      const slot = this.#freeSlots.pop() ?? 0;
      this.#fillSlot(slot, job);
      if (job.allSent) this.#unsent.shift();
      const head = words[WORD.requestHead];
      words[requestsAt + (head & slotMask)] = slot;
      Atomics.store(words, WORD.requestHead, (head + 1) | 0);
      sent++;
    }
    if (sent > 0) ring(words, WORD.bell);
  }

  #fillSlot(slot: number, job: Job): void {
    const { words, slots, slotBytes } = this.#ring;
    const { request } = job;
    const length = request.kind === 'flush' ? 0 : Math.min(slotBytes, request.bytes.length - job.sent);
    const sector = request.sector + job.sent / SECTOR_BYTES;
    const at = this.#ring.descriptor(slot);
    words[at + FIELD.kind] = KINDS.indexOf(request.kind);
    words[at + FIELD.bytes] = length;
    words[at + FIELD.sectorLow] = sector | 0;
    words[at + FIELD.sectorHigh] = Math.floor(sector / 0x1_0000_0000);
    if (request.kind === 'write') slots[slot].set(request.bytes.subarray(job.sent, job.sent + length));
    this.#owners[slot] = job;
    this.#offsets[slot] = job.sent;
    job.piecesOut++;
    job.sent += length;
    job.allSent = request.kind === 'flush' || job.sent === request.bytes.length;
  }

  /** @returns 1 when this answer completed its request */
  #takeAnswer(slot: number): number {
    const { words, slots } = this.#ring;
    const job = this.#owners[slot];
    if (!job) return 0;
    this.#owners[slot] = undefined;
    this.#freeSlots.push(slot);
    const at = this.#ring.descriptor(slot);
    const status = STATUSES[words[at + FIELD.status]] ?? 'io';
    if (status !== 'ok') job.status = status;
    else if (job.request.kind === 'read') {
      job.request.bytes.set(slots[slot].subarray(0, words[at + FIELD.bytes]), this.#offsets[slot]);
    }
    job.piecesOut--;
    if (!job.allSent || job.piecesOut > 0) return 0;
    this.#pending--;
    job.request.done(job.status);
    return 1;
  }

  /** The other side is gone: everything still under way fails, as when a disk is unplugged. */
  #failAll(): number {
    this.#closed = true;
    const jobs = new Set(this.#unsent.splice(0));
    for (const owner of this.#owners) if (owner) jobs.add(owner);
    this.#owners.fill(undefined);
    this.#pending -= jobs.size;
    for (const job of jobs) job.request.done('io');
    return jobs.size;
  }
}

/** Resolves when the word no longer holds `value`, or earlier. */
export type RingWait = (words: Int32Array, index: number, value: number) => Promise<unknown>;

/** Sleeps without holding up the worker's messages. Browsers: Chrome 87, Safari 16.4, Firefox 145; Node 16. */
const waitAsync: RingWait = async (words, index, value) => {
  const waiting = Atomics.waitAsync(words, index, value);
  return waiting.value;
};

/** For hosts without `Atomics.waitAsync`: looks every few milliseconds. */
export function pollingWait(sleep: (ms: number) => Promise<void>, ms = 1): RingWait {
  return async (words, index, value) => {
    while (Atomics.load(words, index) === value) await sleep(ms);
  };
}

export interface ServeOptions {
  /** Rung (added to and notified) at index 0 after every answer: what the machine's thread sleeps on. */
  readonly doorbell: Int32Array;
  /** How to sleep; default `Atomics.waitAsync`. Needed where that is missing. */
  readonly wait?: RingWait;
  /** Told of every failed request, for the log and the person. */
  readonly onError?: (error: unknown) => void;
}

export interface BlockRingService {
  /** Lets requests under way finish, then closes the ring: whatever the machine still asks completes with `io`. */
  stop(): Promise<void>;
}

/**
 * Answers a ring's requests from `store` until stopped. Requests run side by side, except that one waits for earlier
 * ones on the same sectors if either writes, and a flush waits for all earlier writes.
 * @throws CodedError<'unsupported'> when the host has no `Atomics.waitAsync` and no `wait` was given
 */
export function serveBlockRing(
  ringBuffer: SharedArrayBuffer,
  store: BlockRingStore,
  options: ServeOptions,
): BlockRingService {
  if (!options.wait && typeof Atomics.waitAsync !== 'function') {
    throw new CodedError('unsupported', 'this host has no Atomics.waitAsync: pass a way to wait');
  }
  const server = new RingServer(new RingView(ringBuffer), store, options);
  const finished = server.run();
  return {
    stop() {
      server.stop();
      return finished;
    },
  };
}

/** Closes a ring whose service died without a word; safe to call from any thread, and twice. */
export function closeBlockRing(ringBuffer: SharedArrayBuffer, doorbell: Int32Array): void {
  Atomics.store(new Int32Array(ringBuffer), WORD.closed, 1);
  ring(doorbell, 0);
}

interface UnderWay {
  readonly kind: BlockRequest['kind'];
  readonly sector: number;
  readonly endSector: number;
  finished: Promise<void>;
}

class RingServer {
  readonly #ring: RingView;
  readonly #store: BlockRingStore;
  readonly #options: ServeOptions;
  readonly #underWay = new Set<UnderWay>();
  #stopped = false;

  constructor(view: RingView, store: BlockRingStore, options: ServeOptions) {
    this.#ring = view;
    this.#store = store;
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
    ring(this.#ring.words, WORD.bell);
  }

  async run(): Promise<void> {
    const { words, requestsAt, slotMask } = this.#ring;
    const wait = this.#options.wait ?? waitAsync;
    let seen = Atomics.load(words, WORD.answerHead);
    while (!this.#stopped) {
      const bell = Atomics.load(words, WORD.bell);
      const head = Atomics.load(words, WORD.requestHead);
      while (seen !== head) {
        this.#start(words[requestsAt + (seen & slotMask)]);
        seen = (seen + 1) | 0;
      }
      await wait(words, WORD.bell, bell);
    }
    await Promise.all([...this.#underWay].map((u) => u.finished));
    Atomics.store(words, WORD.closed, 1);
    ring(this.#options.doorbell, 0);
  }

  #start(slot: number): void {
    const { words } = this.#ring;
    const at = this.#ring.descriptor(slot);
    const kind = KINDS[words[at + FIELD.kind]] ?? 'read';
    const bytes = this.#ring.slots[slot].subarray(0, words[at + FIELD.bytes]);
    const sector = joined(words[at + FIELD.sectorLow], words[at + FIELD.sectorHigh]);
    const mine: UnderWay = {
      kind,
      sector,
      endSector: sector + bytes.length / SECTOR_BYTES,
      finished: Promise.resolve(),
    };
    const earlier = [...this.#underWay].filter((other) => mustWait(mine, other)).map((other) => other.finished);
    this.#underWay.add(mine);
    mine.finished = this.#carryOut(mine, bytes, earlier).then((status) => {
      this.#underWay.delete(mine);
      this.#answer(slot, status);
    });
  }

  async #carryOut(what: UnderWay, bytes: Uint8Array, earlier: readonly Promise<void>[]): Promise<BlockStatus> {
    try {
      if (earlier.length > 0) await Promise.all(earlier);
      if (what.kind === 'read') await this.#store.read(what.sector, bytes);
      else if (what.kind === 'write') await this.#store.write(what.sector, bytes);
      else await this.#store.flush();
      return 'ok';
    } catch (error) {
      this.#options.onError?.(error);
      const code = error instanceof CodedError ? error.code : 'io';
      return code === 'full' || code === 'read-only' ? code : 'io';
    }
  }

  #answer(slot: number, status: BlockStatus): void {
    const { words, answersAt, slotMask } = this.#ring;
    words[this.#ring.descriptor(slot) + FIELD.status] = STATUSES.indexOf(status);
    const head = words[WORD.answerHead];
    words[answersAt + (head & slotMask)] = slot;
    Atomics.store(words, WORD.answerHead, (head + 1) | 0);
    ring(this.#options.doorbell, 0);
  }
}

function mustWait(later: UnderWay, earlier: UnderWay): boolean {
  if (later.kind === 'flush') return earlier.kind === 'write';
  if (earlier.kind === 'flush') return false;
  if (later.kind === 'read' && earlier.kind === 'read') return false;
  return later.sector < earlier.endSector && earlier.sector < later.endSector;
}

function ring(words: Int32Array, index: number): void {
  Atomics.add(words, index, 1);
  Atomics.notify(words, index);
}
