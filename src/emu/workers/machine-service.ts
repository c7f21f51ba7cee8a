/**
 * A machine on its worker's thread: the loop that runs it, and the whole surface the page has to it. Control goes through
 * here, a few calls a second; pixels, tones, disk blocks and console bytes go through shared memory.
 */
import { CodedError } from '#base/errors.ts';
import type { RegionCompilerPort } from '#emu/cpu/jit/region-order.ts';
import { combinationScancodes, textScancodes } from '#emu/devices/input/keystrokes.ts';
import type { ModeHint } from '#emu/devices/video/display-adapter.ts';
import { ByteRingReader, ByteRingWriter, createByteRing } from '#emu/host/byte-ring.ts';
import { SharedFrame, sharedFrameBytes } from '#emu/host/frame.ts';
import type { PacketRingEnd } from '#emu/host/packet-ring.ts';
import { createRecordingRing, RecordingInput } from '#emu/host/recording-ring.ts';
import { createSoundRing, SoundRingWriter } from '#emu/host/sound-ring.ts';
import { createPc, openSavedMachine, saveMachine } from '#emu/machine/create-pc.ts';
import type { Pc, PcHost } from '#emu/machine/pc.ts';
import { type Attached, attach, cablesOf, configOf, mediaOf, slotOf } from './machine-parts.ts';
import type { DriveSlot, MachineEvent, MachineLinks, MachineSpec, MachineStats, RunState } from './machine-protocol.ts';
import { PacketRecorder } from './packet-recorder.ts';
import { TONE_RING_BYTES, ToneWriter } from './tone-ring.ts';

/** What the thread can do. */
export interface ThreadParts {
  /** Monotonic, in milliseconds with fractions. */
  readonly nowMs: () => number;
  readonly unixMs: () => number;
  /** Overwrites the bytes, at most 65 536, from a secure source. */
  readonly random?: (into: Uint8Array) => void;
  /** Where hot code is compiled; without it on this thread. */
  readonly regionCompiler?: RegionCompilerPort;
  /** The interpreters that the program's build made, compiled, as far as they are here when it is asked for. */
  readonly preparedInterpreter?: (long: boolean) => unknown;
  /** Resolves when a machine need not wait for the interpreter it starts with. */
  readonly prepared?: Promise<void>;
  /** Lets messages in and goes on at once. */
  readonly yieldNow: () => Promise<void>;
  /** Sleeps until the word differs from `value`, or so many milliseconds (may be Infinity), or a little longer. */
  readonly sleep: (words: Int32Array, index: number, value: number, ms: number) => Promise<void>;
}

/** Messages of the page wait at most this long while the guest is busy. */
const SLICE_MS = 5;
const SERIAL_RING_BYTES = 65_536;
/** Bytes the machine holds for a guest that does not read its port. */
const SERIAL_AHEAD_BYTES = 4096;
const SAVE_PATIENCE_MS = 10_000;
const POLL_MS = 5;

interface On {
  readonly pc: Pc;
  readonly media: Map<DriveSlot, Attached>;
  readonly network: Readonly<Record<number, PacketRingEnd>>;
  readonly doorbell: Int32Array;
  readonly output: ByteRingWriter;
  readonly input: ByteRingReader;
  readonly tones: ToneWriter;
  readonly sound: SoundRingWriter;
  readonly recording: RecordingInput;
  /** What the output ring had no room for. */
  readonly unsent: Uint8Array[];
  readonly inputBuffer: Uint8Array;
}

export class MachineService {
  readonly #thread: ThreadParts;
  readonly #listeners: ((event: MachineEvent) => void)[] = [];
  #on: On | undefined;
  #state: RunState = 'off';
  /** Milliseconds spent inside the machine, and the last readings of `stats`. */
  #busyMs = 0;
  #slow: MachineEvent | undefined;
  /** By slot. */
  readonly #recorders = new Map<number, PacketRecorder>();
  #lastRead = { atMs: 0, busyMs: 0, instructions: 0 };

  constructor(thread: ThreadParts) {
    this.#thread = thread;
  }

  /**
   * Makes a machine and switches it on, or goes on with a saved one. Once.
   * @throws CodedError<'bad-config' | 'memory-refused' | 'bad-state'> and what kernels and ROMs are refused with
   */
  async start(spec: MachineSpec): Promise<MachineLinks> {
    await this.#thread.prepared;
    if (this.#on) throw new CodedError('bad-config', 'this worker has a machine already');
    const media = new Map<DriveSlot, Attached>();
    for (const { slot, ring } of spec.drives) if (ring) media.set(slot, attach(ring));
    const doorbell = new Int32Array(spec.doorbell);
    const serialFromGuest = createByteRing(SERIAL_RING_BYTES);
    const serialToGuest = createByteRing(SERIAL_RING_BYTES);
    const tones = createByteRing(TONE_RING_BYTES);
    const sound = createSoundRing();
    const recording = createRecordingRing();
    const outside = {
      ...{
        media,
        network: cablesOf(spec.networkCards),
        doorbell,
        unsent: [],
        inputBuffer: new Uint8Array(SERIAL_AHEAD_BYTES),
      },
      output: new ByteRingWriter(serialFromGuest),
      input: new ByteRingReader(serialToGuest),
      tones: new ToneWriter(tones),
      sound: new SoundRingWriter(sound),
      recording: new RecordingInput(recording),
    };
    const pc = this.#makePc(spec, outside);
    this.#on = { ...outside, pc };
    const { vram } = pc;
    const frameBuffer = new SharedArrayBuffer(sharedFrameBytes(vram.length));
    pc.attachFrame(new SharedFrame(frameBuffer, 0, vram.length));
    if (pc.state === 'paused') pc.resume();
    else pc.powerOn();
    for (const { config } of spec.networkCards) if (config.trace) this.startTrace(config.slot);
    this.#lastRead = { atMs: this.#thread.nowMs(), busyMs: 0, instructions: pc.cpu.retired };
    this.#setState('running');
    void this.#loop(this.#on);
    return { vram, frameBuffer, frameOffset: 0, serialFromGuest, serialToGuest, tones, sound, recording };
  }

  /** @param listener from another thread, through `Comlink.proxy` */
  subscribe(listener: (event: MachineEvent) => void): void {
    this.#listeners.push(listener);
    if (this.#slow) listener(this.#slow);
  }

  /** Hot code is not compiled any more. For this worker itself. */
  becameSlow(message: string): void {
    this.#slow = { kind: 'slow', message };
    this.#tell(this.#slow);
  }

  pause(): void {
    this.#pc().pause();
    this.#afterCall();
  }

  resume(): void {
    this.#pc().resume();
    this.#afterCall();
  }

  reset(): void {
    this.#pc().reset();
    this.#afterCall();
  }

  /** @returns whether the guest listens to its power button */
  acpiPowerButton(): boolean {
    const heard = this.#pc().pressPowerButton();
    this.#afterCall();
    return heard;
  }

  /** Pulls the plug. */
  powerOff(): void {
    this.#on?.pc.powerOff();
    // What waited for the end of the run comes out before the caller knows of it.
    this.#on?.pc.advance(0);
    this.#afterCall();
  }

  /** Scan code set 1 bytes. */
  putScancodes(set1: readonly number[]): void {
    this.#pc().putScancodes(set1);
    this.#afterCall();
  }

  /** See `MouseInput.move`. */
  moveMouse(dx: number, dy: number, dz: number, buttons: number, dw: number): void {
    this.#pc().moveMouse(dx, dy, dz, buttons, dw);
    this.#afterCall();
  }

  /** See `MouseInput.point`. */
  pointMouse(x: number, y: number): void {
    this.#pc().pointMouse(x, y);
    this.#afterCall();
  }

  /** Asks the guest for another mode of a monitor. @returns false when no driver of its listens */
  suggestMode(hint: ModeHint): boolean {
    return this.#pc().suggestMode(hint);
  }

  /** Types text at a pace a guest can follow. @throws CodedError<'no-key'> and types nothing */
  typeText(text: string): void {
    this.#pc().keys.type(textScancodes(text));
    this.#afterCall();
  }

  /** Presses keys together, as `Ctrl-Alt-Del`. @throws CodedError<'unknown-key'> */
  pressKeys(combination: string): void {
    this.#pc().putScancodes(combinationScancodes(combination));
    this.#afterCall();
  }

  /**
   * Puts a CD or a diskette into the machine's first such drive, or takes it out.
   * @param ring of the new medium; undefined: none
   * @throws CodedError<'no-drive' | 'bad-image'>
   */
  changeMedium(slot: DriveSlot, ring: SharedArrayBuffer | undefined): void {
    const { pc, media } = this.#running();
    const attached = ring && attach(ring);
    // The person's hand is stronger than the guest's lock: a paper clip opens every drive.
    pc.changeMedium(slot === 'fda' || slot === 'fdb' ? 'floppy' : 'cdrom', attached?.port, {
      force: true,
      label: slot,
    });
    if (attached) media.set(slot, attached);
    else media.delete(slot);
    this.#afterCall();
  }

  /** Plugs the cable of a network card, 1 to 8, in or out. @throws CodedError<'no-card'> */
  setCableConnected(slot: number, connected: boolean): void {
    this.#pc().setCableConnected(slot, connected);
    this.#afterCall();
  }

  /** Records what passes a network card, 1 to 8, from now on, if that is not done already. @throws CodedError<'no-card'> */
  startTrace(slot: number): void {
    const cable = this.#pc().board.network.cable(slot);
    if (!this.#recorders.has(slot)) this.#recorders.set(slot, new PacketRecorder(cable, this.#thread.unixMs));
  }

  /** Ends the recording, also that of a machine that is off. @returns a capture file; undefined: nothing was recorded */
  takeTrace(slot: number): Blob | undefined {
    const recorder = this.#recorders.get(slot);
    this.#recorders.delete(slot);
    return recorder?.finish();
  }

  /**
   * The whole machine as a file; it must be paused.
   * @throws CodedError<'busy'> when a disk does not answer
   */
  async saveState(): Promise<Blob> {
    const on = this.#running();
    if (on.pc.state === 'running') throw new CodedError('busy', 'a running machine cannot be saved: pause it first');
    const until = this.#thread.nowMs() + SAVE_PATIENCE_MS;
    while (!on.pc.idle && this.#thread.nowMs() < until) {
      const bell = Atomics.load(on.doorbell, 0);
      pollMedia(on);
      if (!on.pc.idle) await this.#thread.sleep(on.doorbell, 0, bell, POLL_MS);
    }
    // A saved state is a copy in memory of its own; a blob crosses to the page without another.
    return new Blob([saveMachine(on.pc) as Uint8Array<ArrayBuffer>]);
  }

  stats(): MachineStats {
    const on = this.#on;
    const atMs = this.#thread.nowMs();
    const instructions = on?.pc.cpu.retired ?? 0;
    const passed = Math.max(1, atMs - this.#lastRead.atMs);
    const busy = this.#busyMs - this.#lastRead.busyMs;
    const executed = instructions - this.#lastRead.instructions;
    this.#lastRead = { atMs, busyMs: this.#busyMs, instructions };
    return {
      state: this.#state,
      instructions,
      mips: busy > 0 ? executed / busy / 1000 : 0,
      haltedShare: Math.min(1, Math.max(0, 1 - busy / passed)),
      guestSeconds: (on?.pc.guestNs ?? 0) / 1e9,
      drives: [...(on?.media ?? [])].map(([slot, { port }]) => ({
        slot,
        sectorsRead: port.sectorsRead,
        sectorsWritten: port.sectorsWritten,
        pending: port.pending,
      })),
      networkCards: [...(on?.pc.board.network.cables ?? [])].map(([slot, cable]) => ({
        ...{ slot, linkUp: cable.linkUp, cableConnected: cable.connected },
        ...cable.counts,
        traceBytes: this.#recorders.get(slot)?.bytes,
      })),
    };
  }

  #makePc(spec: MachineSpec, outside: Omit<On, 'pc'>): Pc {
    const { media, network, output, unsent, tones, sound, recording } = outside;
    const host: PcHost = {
      nowMs: this.#thread.nowMs,
      random: this.#thread.random,
      regionCompiler: this.#thread.regionCompiler,
      preparedInterpreter: this.#thread.preparedInterpreter,
      poll: () => {
        if (this.#on) pollMedia(this.#on);
      },
      onSerialOutput: (port, bytes) => {
        if (port !== 0) return;
        const taken = unsent.length === 0 ? output.write(bytes) : 0;
        if (taken < bytes.length) unsent.push(bytes.subarray(taken));
      },
      onTone: (hz, at) => tones.write(hz, at),
      onSound: (samples) => sound.write(samples),
      soundInput: recording,
      onCrash: ({ report }) => this.#tell({ kind: 'crash', report }),
      onVariablesChanged: (contents) => this.#tell({ kind: 'variables', contents: contents.slice() }),
      onEjected: (drive) => {
        const slot = slotOf(drive);
        media.delete(slot);
        this.#tell({ kind: 'ejected', slot });
      },
    };
    if (!spec.savedState) return createPc(configOf(spec, this.#thread.unixMs()), mediaOf(media, network), host);
    try {
      return openSavedMachine(spec.savedState).createPc(mediaOf(media, network), host);
    } catch (cause) {
      const refused = cause instanceof CodedError && cause.code === 'memory-refused';
      const why = cause instanceof Error ? cause.message : String(cause);
      throw refused ? cause : new CodedError('bad-state', why, {}, cause);
    }
  }

  async #loop(on: On): Promise<void> {
    const { pc, doorbell, output } = on;
    const { nowMs, sleep, yieldNow } = this.#thread;
    const isOff = (): boolean => pc.state === 'off';
    try {
      while (!isOff()) {
        // Loaded before anything is looked at: whatever rings from here on ends the sleep below.
        const bell = Atomics.load(doorbell, 0);
        const readCount = output.readCount;
        const blocked = !sendOutput(on);
        takeInput(on);
        if (blocked) {
          // The console is full: the guest waits for its reader, and loses nothing.
          await sleep(output.bell.words, output.bell.index, readCount, POLL_MS);
          continue;
        }
        const before = nowMs();
        const idleMs = pc.advance(SLICE_MS);
        this.#busyMs += nowMs() - before;
        on.tones.flush();
        // Switched off by the guest: nobody would ring.
        if (isOff()) break;
        if (idleMs > 0) await sleep(doorbell, 0, bell, on.unsent.length > 0 ? 0 : idleMs);
        else await yieldNow();
      }
      sendOutput(on);
      this.#setState('off');
    } catch (error) {
      // A bug of ours, or the host's memory: the machine is no more, but its worker can say so.
      pc.powerOff();
      this.#setState('failed', error instanceof Error ? error.message : String(error));
    }
  }

  #pc(): Pc {
    return this.#running().pc;
  }

  #running(): On {
    if (!this.#on || this.#on.pc.state === 'off') throw new CodedError('off', 'the machine is off: start it first');
    return this.#on;
  }

  /** Wakes the loop, and says what the call has changed. */
  #afterCall(): void {
    if (!this.#on) return;
    const { pc, doorbell } = this.#on;
    Atomics.add(doorbell, 0, 1);
    Atomics.notify(doorbell, 0);
    if (pc.state !== 'off') this.#setState(pc.state);
  }

  #setState(state: RunState, message = ''): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#tell({ kind: 'state', state, message });
  }

  #tell(event: MachineEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

function pollMedia({ media, network }: On): void {
  for (const { ring } of media.values()) if (ring.pending > 0) ring.poll();
  for (const slot in network) network[slot].poll();
}

/** @returns false while the ring has no room for everything */
function sendOutput({ unsent, output }: On): boolean {
  for (let first = unsent[0]; first; first = unsent[0]) {
    const taken = output.write(first);
    if (taken < first.length) {
      unsent[0] = first.subarray(taken);
      return false;
    }
    unsent.shift();
  }
  return true;
}

function takeInput({ pc, input, inputBuffer }: On): void {
  if (input.available === 0 || pc.board.serial[0].waitingBytes > 0) return;
  pc.sendSerial(0, inputBuffer.subarray(0, input.read(inputBuffer)));
}
