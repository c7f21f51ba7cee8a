// Capture files of what passes network cards: nictraceN and nictracefileN.

import { closeSync, openSync, writeSync } from 'node:fs';
import { CodedError } from '#base/errors.ts';
import type { NetworkCable } from '#emu/host/network-cable.ts';
import { pcapHeader, pcapRecord } from '#emu/host/pcap.ts';

/** What has the cables. */
export interface TracedCables {
  /** @throws CodedError<'no-card'> */
  cable(slot: number): NetworkCable;
}

interface Trace {
  path: string | undefined;
  descriptor: number | undefined;
}

export class PacketTraces {
  readonly #cables: TracedCables;
  readonly #traces = new Map<number, Trace>();

  constructor(cables: TracedCables) {
    this.#cables = cables;
  }

  /** Names the file of a card; a trace that is on goes on there. @throws CodedError<'no-card' | 'unwritable'> */
  setFile(slot: number, path: string): void {
    const trace = this.#of(slot);
    const wasOn = trace.descriptor !== undefined;
    if (wasOn) this.setOn(slot, false);
    trace.path = path;
    if (wasOn) this.setOn(slot, true);
  }

  /** Begins a new file, or ends it. @throws CodedError<'no-card' | 'bad-command' | 'unwritable'> */
  setOn(slot: number, on: boolean): void {
    const trace = this.#of(slot);
    const cable = this.#cables.cable(slot);
    if (!on) {
      cable.trace = undefined;
      if (trace.descriptor !== undefined) closeSync(trace.descriptor);
      trace.descriptor = undefined;
      return;
    }
    if (trace.descriptor !== undefined) return;
    const { path } = trace;
    if (path === undefined) throw new CodedError('bad-command', `name the file first, with nictracefile${slot} FILE`);
    const descriptor = create(path);
    trace.descriptor = descriptor;
    cable.trace = (frame) => writeWhole(descriptor, pcapRecord(frame, Date.now()));
  }

  close(): void {
    for (const slot of this.#traces.keys()) this.setOn(slot, false);
  }

  #of(slot: number): Trace {
    this.#cables.cable(slot);
    let trace = this.#traces.get(slot);
    if (!trace) {
      trace = { path: undefined, descriptor: undefined };
      this.#traces.set(slot, trace);
    }
    return trace;
  }
}

function create(path: string): number {
  try {
    const descriptor = openSync(path, 'w');
    writeWhole(descriptor, pcapHeader());
    return descriptor;
  } catch (cause) {
    throw new CodedError('unwritable', `${path} cannot be written; check its folder`, { path }, cause);
  }
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
}
