// `tabbox run` on the main thread: the terminal, the monitor and signals. The machine has a thread of its own, so this one
// always answers.

import { MessageChannel, type Transferable, Worker } from 'node:worker_threads';
import { CodedError } from '#base/errors.ts';
import { MachineDesktop, type MachineDesktopParts } from '#display/desktop/machine-desktop.ts';
import { RecordingJack } from '#display/desktop/recording-jack.ts';
import { SoundRingSource } from '#display/desktop/sound-ring-source.ts';
import { isoImage } from '#display/sharing/iso-image.ts';
import { textScancodes } from '#emu/devices/input/keystrokes.ts';
import { SharedFrame } from '#emu/host/frame.ts';
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import type { RdpGateway } from '../rdp/gateway.ts';
import { setEngineOptions, WORKER_LIMITS } from './engine-options.ts';
import { GdbSocket } from './gdb-socket.ts';
import {
  type FromMachine,
  type MachineWorkerData,
  SHARED,
  SHARED_BYTES,
  STATUS,
  type ToMachine,
} from './machine-messages.ts';
import { isNetworkCommand, type MonitorCommand, type NetworkCommand } from './monitor-commands.ts';
import { type Reply, serveLines, serveSocket } from './monitor-server.ts';
import { RegionWorkers } from './region-workers.ts';
import { isNicCommand, RunNetworks } from './run-networks.ts';
import { parseRunOptions, RUN_HELP, type RunOptions } from './run-options.ts';
import { GivenDiscs, type RunningMachine, shareHeadless } from './run-share.ts';
import type { ShareOptions } from './share-options.ts';
import { TERMINAL_HELP, useTerminal } from './terminal.ts';

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const say = (text: string): void => {
  process.stderr.write(`tabbox: ${text}\n`);
};

/** Where the built workers are. */
export interface RunWorkers {
  readonly machine: URL;
  readonly regions: URL;
}

/**
 * @param args behind `run`
 * @param workers the built workers
 * @returns the exit status
 */
export async function runCommand(args: readonly string[], workers: RunWorkers): Promise<number> {
  let options: RunOptions;
  try {
    const parsed = parseRunOptions(args);
    if (parsed === 'help') {
      process.stdout.write(RUN_HELP);
      return STATUS.ok;
    }
    options = parsed;
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    say(`${cause.message}\ntry 'tabbox run --help'`);
    return STATUS.usage;
  }
  const run = new Run(options, workers);
  try {
    return await run.toItsEnd();
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    say(cause.message);
    return STATUS.usage;
  } finally {
    await run.close();
  }
}

type ScreenMessage = Extract<FromMachine, { readonly kind: 'screen' }>;

class Run {
  readonly #options: RunOptions;
  readonly #worker: Worker;
  readonly #channel = new MessageChannel();
  readonly #words: Int32Array;
  readonly #networks: RunNetworks;
  readonly #replies = new Map<number, (reply: Reply) => void>();
  readonly #closers: (() => void)[] = [];
  readonly #ended: Promise<number>;
  #resolveEnded: (status: number) => void = () => {};
  readonly #started: Promise<void>;
  #resolveStarted: () => void = () => {};
  /** The machine's screen and input, once it is switched on. */
  #desktop: MachineDesktop | undefined;
  readonly #keyboard: KeyboardInput = { putScancodes: (set1) => this.#send({ kind: 'scancodes', set1 }) };
  readonly #mouse: MouseInput = {
    move: (dx, dy, dz, buttons, dw) => this.#send({ kind: 'mouse', dx, dy, dz, buttons, dw }),
    point: (x, y) => this.#send({ kind: 'point', x, y }),
  };
  #nextId = 1;
  #gdb: GdbSocket | undefined;
  #vrde: RdpGateway | undefined;
  #regions: RegionWorkers | undefined;
  #over = false;

  constructor(options: RunOptions, workers: RunWorkers) {
    this.#options = options;
    const shared = new SharedArrayBuffer(SHARED_BYTES);
    this.#words = new Int32Array(shared);
    this.#networks = new RunNetworks(this.#words, options, say);
    this.#ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#started = new Promise((resolve) => {
      this.#resolveStarted = resolve;
    });
    setEngineOptions();
    const { port1, port2 } = this.#channel;
    const workerData: MachineWorkerData = { options, shared, port: port2 };
    port1.on('message', (message: FromMachine) => this.#take(message));
    this.#worker = new Worker(workers.machine, {
      ...{ workerData, transferList: [port2], name: 'machine' },
      resourceLimits: WORKER_LIMITS,
    });
    if (options.tier !== '0') this.#startRegionWorkers(workers.regions);
    this.#worker.on('error', (error) => this.#end(STATUS.broken, `the machine broke: ${error.stack ?? error.message}`));
    // A worker that ended has said why; its message comes first.
    this.#worker.on('exit', () => setImmediate(() => this.#end(STATUS.broken, 'the machine ended without a word')));
  }

  #startRegionWorkers(url: URL): void {
    const regions = new RegionWorkers({
      url,
      onStarted: (port, why) => this.#send({ kind: 'regions', port, why }, [port]),
      onGivenUp: (message) => {
        this.#send({ kind: 'regions', port: undefined, why: message });
        say(message);
      },
    });
    this.#regions = regions;
    this.#closers.push(() => regions.close());
  }

  async toItsEnd(): Promise<number> {
    for (const [signal, status] of Object.entries(SIGNALS)) {
      const handler = (): void => this.#send({ kind: 'end', status });
      process.on(signal, handler);
      this.#closers.push(() => process.off(signal, handler));
    }
    const execute = (command: MonitorCommand): Promise<Reply> => this.#execute(command);
    const { monitor, serial } = this.#options;
    if (monitor.kind === 'unix') this.#closers.push(await serveSocket(monitor.path, execute));
    if (monitor.kind === 'stdio') this.#closers.push(serveLines(process.stdin, process.stdout, execute));
    await this.#openGdb();
    await this.#openVrde();
    const port = serial.findIndex((sink) => sink.kind === 'stdio');
    if (port >= 0) this.#closers.push(this.#openTerminal(port));
    return this.#ended;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) close();
    this.#desktop?.close();
    this.#networks.close();
    this.#channel.port1.close();
    await this.#worker.terminate();
  }

  async #openGdb(): Promise<void> {
    const { gdb, gdbWait } = this.#options.debug;
    if (!gdb) return;
    // A debugger asks again when it gets no answer soon, and takes a late one for something else.
    await Promise.race([this.#started, this.#ended]);
    if (this.#over) return;
    const socket = await GdbSocket.listen(gdb.host, gdb.port, (event) => this.#send({ kind: 'gdb', event }));
    this.#gdb = socket;
    this.#closers.push(() => socket.close());
    say(`GDB: target remote ${socket.address}${gdbWait ? ' (the machine waits for it)' : ''}`);
  }

  async #openVrde(): Promise<void> {
    const { vrde } = this.#options;
    if (!vrde) return;
    for (const warning of vrde.warnings) say(warning);
    await Promise.race([this.#started, this.#ended]);
    if (this.#over || !this.#desktop) return;
    const { openVrde } = await import('./vrde-server.ts');
    const gateway = await openVrde(this.#desktop, vrde, say);
    this.#vrde = gateway;
    this.#closers.push(() => gateway.close());
    say(`RDP: ${gateway.address}`);
  }

  #openTerminal(port: number): () => void {
    return useTerminal(
      process.stdin,
      (bytes) => this.#send({ kind: 'serial', port, bytes }),
      (key) => {
        if (key === 'quit') this.#send({ kind: 'end', status: STATUS.ok });
        else process.stderr.write(`\r\n${TERMINAL_HELP}\r\n`);
      },
    );
  }

  #send(message: ToMachine, transfer: Transferable[] = []): void {
    this.#channel.port1.postMessage(message, transfer);
    Atomics.add(this.#words, SHARED.doorbell, 1);
    Atomics.notify(this.#words, SHARED.doorbell);
  }

  #execute(command: MonitorCommand): Promise<Reply> {
    if (isNetworkCommand(command)) return this.#executeHere(command);
    if (command.verb === 'info' && this.#vrde) return this.#withVrde(this.#vrde, command);
    return this.#executeThere(command);
  }

  async #withVrde(vrde: RdpGateway, command: MonitorCommand): Promise<Reply> {
    const { lines, error } = await this.#executeThere(command);
    return { lines: [...lines, `vrde: ${vrde.address}, ${vrde.activeCount} clients`], error };
  }

  #executeThere(command: MonitorCommand): Promise<Reply> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#replies.set(id, resolve);
      this.#send({ kind: 'command', id, command });
    });
  }

  async #executeHere(command: NetworkCommand): Promise<Reply> {
    try {
      // A saved machine is to come back with what it has.
      if (isNicCommand(command)) return await this.#executeThere(await this.#networks.reattach(command));
      return { lines: await this.#networks.execute(command), error: undefined };
    } catch (cause) {
      if (!(cause instanceof CodedError)) throw cause;
      return { lines: [], error: cause.message };
    }
  }

  #take(message: FromMachine): void {
    switch (message.kind) {
      case 'started':
        this.#resolveStarted();
        return;
      case 'screen':
        this.#openDesktop(message);
        return;
      case 'leds':
        if (this.#desktop) this.#desktop.leds = message.leds;
        return;
      case 'cables':
        this.#networks.attach(message.cables).catch((error: Error) => {
          const isOurs = !(error instanceof CodedError);
          this.#end(isOurs ? STATUS.broken : STATUS.usage, isOurs ? error.stack : error.message);
        });
        return;
      case 'regions-silent':
        this.#regions?.restart();
        return;
      case 'note':
        say(message.text);
        return;
      case 'gdb':
        this.#gdb?.send(message.bytes);
        return;
      case 'output':
        process.stdout.write(message.bytes, () => {
          Atomics.sub(this.#words, SHARED.unwritten, message.bytes.length);
          Atomics.notify(this.#words, SHARED.unwritten);
        });
        return;
      case 'reply':
        this.#replies.get(message.id)?.({ lines: message.lines, error: message.error });
        this.#replies.delete(message.id);
        return;
      case 'ended':
        this.#end(message.status, message.message);
    }
  }

  #openDesktop({ vram, frame, sound, recording }: ScreenMessage): void {
    let watchers = 0;
    const discs = new GivenDiscs();
    this.#closers.push(() => discs.close());
    const parts: MachineDesktopParts = {
      ...{ vram, frame: new SharedFrame(frame, 0, vram.length) },
      ...{ keyboard: this.#keyboard, mouse: this.#mouse, typeText: (text) => this.#type(text) },
      sound: sound && new SoundRingSource(sound),
      microphones: recording && new RecordingJack(recording),
      giveFiles: (files, from) => this.#insert(discs.keep(isoImage(`From ${from}`, files, new Date()))),
      requestSize: (width, height, monitor) =>
        void this.#execute({ verb: 'setvideomodehint', hint: { monitor, enabled: true, width, height } }),
      onWatched: (on) => {
        watchers += on ? 1 : -1;
        if (watchers === (on ? 1 : 0)) this.#send({ kind: 'watched', on });
      },
    };
    this.#desktop = new MachineDesktop(parts);
    if (this.#options.share) this.#share(new MachineDesktop(parts, 'all'), discs, this.#options.share);
  }

  /** At a pace the guest can follow. */
  #type(text: string): void {
    try {
      void this.#execute({ verb: 'keyboardputstring', keys: textScancodes(text) });
    } catch (cause) {
      if (!(cause instanceof CodedError)) throw cause;
      say(`a text that was to be typed was not: ${cause.message}`);
    }
  }

  /** Puts the image in a file into the CD drive. @throws CodedError */
  async #insert(path: string): Promise<void> {
    const { error } = await this.#execute({ verb: 'insert', drive: 'cdrom', path });
    if (error !== undefined) throw new CodedError('not-in', error);
  }

  #share(desktop: MachineDesktop, discs: GivenDiscs, share: ShareOptions): void {
    this.#closers.push(() => desktop.close());
    const machine: RunningMachine = {
      ...{ desktop, keyboard: this.#keyboard, mouse: this.#mouse, say },
      typeText: (text) => this.#type(text),
      insertDisc: (path) => this.#insert(path),
    };
    const shared = shareHeadless(share, machine, discs);
    this.#closers.push(() => shared.close());
  }

  #end(status: number, message?: string): void {
    if (message !== undefined && !this.#over) say(message);
    this.#over = true;
    for (const resolve of this.#replies.values()) resolve({ lines: [], error: 'the machine has ended' });
    this.#replies.clear();
    // Replies that just arrived are written before the process ends.
    setImmediate(() => this.#resolveEnded(status));
  }
}
