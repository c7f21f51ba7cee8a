/**
 * A split virtqueue as its device sees it.
 * Source: VIRTIO 1.2, section 2.7 (split virtqueues), 2.7.10 (event index), 2.7.5.3 (indirect descriptors).
 * Not modelled: packed virtqueues, in-order use.
 */
import type { DmaMemory, Saveable } from '#emu/bus/wires.ts';

const DESCRIPTOR_BYTES = 16;
const FLAG = { next: 1, write: 2, indirect: 4 } as const;
const AVAIL_NO_INTERRUPT = 1;
const USED_NO_NOTIFY = 1;
/** What a chain may have, indirect tables included. */
const LONGEST_CHAIN = 1024;

export interface VirtqueueState {
  readonly size: number;
  readonly descriptors: number;
  readonly driver: number;
  readonly device: number;
  readonly enabled: boolean;
  readonly nextAvail: number;
  readonly usedIndex: number;
  readonly announced: number;
  readonly wantsNotify: boolean;
  readonly broken: boolean;
}

export class Virtqueue implements Saveable<VirtqueueState> {
  readonly maxSize: number;
  readonly #memory: DmaMemory;
  readonly #scratch: Uint8Array = new Uint8Array(8);
  readonly #two: Uint8Array = this.#scratch.subarray(0, 2);
  /** Set by the driver before `enabled`. `size` is a power of two up to `maxSize`. */
  size: number;
  descriptors = 0;
  /** Available ring. */
  driver = 0;
  /** Used ring. */
  device = 0;
  enabled = false;
  /** VIRTIO_F_EVENT_IDX was negotiated. */
  eventIndex = false;
  /** The driver broke the rules; nothing is taken until a reset. */
  broken = false;
  #nextAvail = 0;
  #usedIndex = 0;
  /** Used index when the driver was last told. */
  #announced = 0;
  #wantsNotify = true;

  /** The chain that `pop` loaded: buffers the device reads, then those it writes. */
  head = 0;
  readonly addresses: Float64Array = new Float64Array(LONGEST_CHAIN);
  readonly lengths: Uint32Array = new Uint32Array(LONGEST_CHAIN);
  readCount = 0;
  count = 0;
  readBytes = 0;
  writeBytes = 0;

  constructor(memory: DmaMemory, maxSize: number) {
    this.#memory = memory;
    this.maxSize = maxSize;
    this.size = maxSize;
  }

  reset(): void {
    this.size = this.maxSize;
    this.descriptors = 0;
    this.driver = 0;
    this.device = 0;
    this.enabled = false;
    this.eventIndex = false;
    this.broken = false;
    this.#nextAvail = 0;
    this.#usedIndex = 0;
    this.#announced = 0;
    this.#wantsNotify = true;
  }

  /** Next entry of the available ring that `pop` will take; for `rewind`. */
  get mark(): number {
    return this.#nextAvail;
  }

  /** Gives back what was popped since `mark` and not pushed. */
  rewind(mark: number): void {
    this.#nextAvail = mark;
  }

  /** Loads the next chain. @returns false when there is none, or the queue is broken */
  pop(): boolean {
    if (!this.enabled || this.broken) return false;
    const available = this.#memory.readU16(this.driver + 2);
    if (available === this.#nextAvail) return false;
    if (((available - this.#nextAvail) & 0xffff) > this.size) return this.#break();
    const slot = this.#nextAvail & (this.size - 1);
    this.head = this.#memory.readU16(this.driver + 4 + slot * 2);
    if (!this.#loadChain()) return this.#break();
    this.#nextAvail = (this.#nextAvail + 1) & 0xffff;
    return true;
  }

  /** Copies what the device reads of the chain. @returns how many bytes, at most `into.length` */
  read(into: Uint8Array): number {
    let done = 0;
    for (let i = 0; i < this.readCount && done < into.length; i++) {
      const here = Math.min(this.lengths[i], into.length - done);
      this.#memory.read(this.addresses[i], into.subarray(done, done + here));
      done += here;
    }
    return done;
  }

  /** Copies into what the device writes of the chain. @returns how many bytes fitted */
  write(from: Uint8Array): number {
    let done = 0;
    for (let i = this.readCount; i < this.count && done < from.length; i++) {
      const here = Math.min(this.lengths[i], from.length - done);
      this.#memory.write(this.addresses[i], from.subarray(done, done + here));
      done += here;
    }
    return done;
  }

  /** Puts the chain into the used ring; the driver sees it after `publish`. @param written bytes the device wrote */
  push(written: number): void {
    const scratch = this.#scratch;
    putU32(scratch, 0, this.head);
    putU32(scratch, 4, written);
    this.#memory.write(this.device + 4 + (this.#usedIndex & (this.size - 1)) * 8, scratch);
    this.#usedIndex = (this.#usedIndex + 1) & 0xffff;
  }

  /** Shows what was pushed. @returns whether the driver wants an interrupt for it */
  publish(): boolean {
    this.#writeU16(this.device + 2, this.#usedIndex);
    const before = this.#announced;
    if (before === this.#usedIndex) return false;
    if (!this.eventIndex) {
      this.#announced = this.#usedIndex;
      return (this.#memory.readU16(this.driver) & AVAIL_NO_INTERRUPT) === 0;
    }
    const wanted = this.#memory.readU16(this.driver + 4 + this.size * 2);
    this.#announced = this.#usedIndex;
    return ((this.#usedIndex - wanted - 1) & 0xffff) < ((this.#usedIndex - before) & 0xffff);
  }

  /** Whether the driver shall notify of new chains. Look at `pop` once more after switching it on. */
  set wantsNotify(on: boolean) {
    if (!this.enabled) return;
    if (this.eventIndex) {
      // Without a wish the index stays behind, where the driver does not pass again for a long time. A wish is for what
      // comes after all that is there: chains that were not popped, being too few, have been notified of.
      if (on) this.#writeU16(this.device + 4 + this.size * 8, this.#memory.readU16(this.driver + 2));
    } else if (on !== this.#wantsNotify) this.#writeU16(this.device, on ? 0 : USED_NO_NOTIFY);
    this.#wantsNotify = on;
  }

  save(): VirtqueueState {
    return {
      size: this.size,
      descriptors: this.descriptors,
      driver: this.driver,
      device: this.device,
      enabled: this.enabled,
      nextAvail: this.#nextAvail,
      usedIndex: this.#usedIndex,
      announced: this.#announced,
      wantsNotify: this.#wantsNotify,
      broken: this.broken,
    };
  }

  /** `eventIndex` is for whoever knows the features. */
  restore(state: VirtqueueState): void {
    this.size = state.size;
    this.descriptors = state.descriptors;
    this.driver = state.driver;
    this.device = state.device;
    this.enabled = state.enabled;
    this.#nextAvail = state.nextAvail;
    this.#usedIndex = state.usedIndex;
    this.#announced = state.announced;
    this.#wantsNotify = state.wantsNotify;
    this.broken = state.broken;
  }

  #break(): boolean {
    this.broken = true;
    return false;
  }

  #loadChain(): boolean {
    this.readCount = 0;
    this.count = 0;
    this.readBytes = 0;
    this.writeBytes = 0;
    return this.#loadTable(this.descriptors, this.size, this.head, true);
  }

  /** @returns false when the chain is none */
  #loadTable(table: number, entries: number, first: number, mayBeIndirect: boolean): boolean {
    const memory = this.#memory;
    let index = first;
    for (let n = 0; n < entries; n++) {
      if (index >= entries || this.count >= LONGEST_CHAIN) return false;
      const at = table + index * DESCRIPTOR_BYTES;
      const address = memory.readU32(at) + memory.readU32(at + 4) * 0x1_0000_0000;
      const length = memory.readU32(at + 8);
      const flags = memory.readU16(at + 12);
      if ((flags & FLAG.indirect) !== 0) {
        if (!mayBeIndirect || length % DESCRIPTOR_BYTES !== 0 || length === 0) return false;
        if (!this.#loadTable(address, Math.min(length / DESCRIPTOR_BYTES, LONGEST_CHAIN), 0, false)) return false;
      } else if (!this.#add(address, length, (flags & FLAG.write) !== 0)) return false;
      if ((flags & FLAG.next) === 0) return true;
      index = memory.readU16(at + 14);
    }
    return false;
  }

  #add(address: number, length: number, isWrite: boolean): boolean {
    if (isWrite) this.writeBytes += length;
    else {
      // All that the device reads comes first.
      if (this.count > this.readCount) return false;
      this.readCount++;
      this.readBytes += length;
    }
    this.addresses[this.count] = address;
    this.lengths[this.count] = length;
    this.count++;
    return true;
  }

  #writeU16(at: number, value: number): void {
    this.#scratch[0] = value;
    this.#scratch[1] = value >>> 8;
    this.#memory.write(at, this.#two);
  }
}

function putU32(bytes: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i++) bytes[at + i] = value >>> (i * 8);
}
