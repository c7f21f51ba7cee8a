// The machine on its own thread: runs it, sleeps while it has nothing to do, carries out what the main thread asks.

import { webcrypto } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { CodedError, unreachable } from '#base/errors.ts';
import { toPng } from '#display/png.ts';
import { Rasteriser } from '#display/raster/rasteriser.ts';
import { screenText } from '#display/raster/screen-text.ts';
import { CompilerLink } from '#emu/cpu/jit/compiler-link.ts';
import { STALL_MS } from '#emu/cpu/jit/tier1.ts';
import { SharedFrame, sharedFrameBytes } from '#emu/host/frame.ts';
import { createRecordingRing, RecordingInput } from '#emu/host/recording-ring.ts';
import { DEAF } from '#emu/host/sound.ts';
import { createSoundRing, SoundRingWriter } from '#emu/host/sound-ring.ts';
import { saveMachine } from '#emu/machine/create-pc.ts';
import type { Pc, PcHost } from '#emu/machine/pc.ts';
import { loadMachine, openMedium } from './load-machine.ts';
import { MachineDebugging } from './machine-debugging.ts';
import {
  type FromMachine,
  type MachineWorkerData,
  SHARED,
  STATUS,
  type ToMachine,
  UNWRITTEN_LIMIT,
} from './machine-messages.ts';
import type { MonitorCommand } from './monitor-commands.ts';
import { PacketTraces } from './packet-traces.ts';
import { preparedInterpreter } from './prepared-interpreter.ts';
import { regionPort } from './region-port.ts';
import type { RunOptions, Sink } from './run-options.ts';
import { variableStore } from './variable-store.ts';

/** Host time between two looks at messages while the guest is busy. */
const SLICE_MS = 10;
const OUTPUT_WAIT_MS = 100;

export class MachineRunner {
  readonly #options: RunOptions;
  readonly #port: MessagePort;
  readonly #words: Int32Array;
  readonly #descriptors: number[] = [];
  readonly #pc: Pc;
  readonly #frame: SharedFrame;
  readonly #traces: PacketTraces;
  readonly #sound = createSoundRing();
  readonly #recording = createRecordingRing();
  /** Of the monitors that were looked at. */
  readonly #rasterisers = new Map<number, Rasteriser>();
  /** Exit status, once the run is over. */
  #status: number | undefined;
  #busyMs = 0;
  #debugging: MachineDebugging | undefined;
  #message: string | undefined;
  #pollNetwork = (): void => {};
  readonly #regions = new CompilerLink({
    nowMs: () => performance.now(),
    onSilent: () => this.#send({ kind: 'regions-silent' }),
  });

  /** @throws CodedError when the machine cannot be made */
  constructor(data: MachineWorkerData) {
    this.#options = data.options;
    this.#port = data.port;
    this.#words = new Int32Array(data.shared);
    const { pc, restored, notes, cables, pollNetwork } = loadMachine(data.options, this.#host(), Date.now());
    this.#pollNetwork = pollNetwork;
    if (cables.length > 0) this.#send({ kind: 'cables', cables });
    for (const text of notes) this.#send({ kind: 'note', text });
    this.#pc = pc;
    this.#traces = new PacketTraces(pc.board.network);
    for (const { slot, traceFile } of data.options.networkCards) {
      if (traceFile === undefined) continue;
      this.#traces.setFile(slot, traceFile);
      this.#traces.setOn(slot, true);
    }
    const frame = new SharedArrayBuffer(sharedFrameBytes(pc.vram.length));
    this.#frame = new SharedFrame(frame, 0, pc.vram.length);
    const { sound } = pc.board;
    const recording = data.options.audio.in ? this.#recording : undefined;
    this.#send({ kind: 'screen', vram: pc.vram, frame, sound: sound && this.#sound, recording: sound && recording });
    const { debug } = data.options;
    if (debug.gdb || debug.trace) {
      this.#debugging = new MachineDebugging({
        ...{ pc, options: debug },
        send: (bytes) => this.#send({ kind: 'gdb', bytes }),
        onKill: () => this.#end(STATUS.ok),
      });
    }
    if (!restored) pc.powerOn();
    if (debug.gdbWait) pc.pause();
    else pc.resume();
    this.#send({ kind: 'started' });
  }

  /** Runs to the end of the machine. */
  run(): void {
    let rung: number | undefined;
    while (this.#status === undefined) {
      const seen = Atomics.load(this.#words, SHARED.doorbell);
      // A message is there before its ring: without one there is nothing to take.
      if (seen !== rung) this.#takeMessages();
      rung = seen;
      if (this.#status !== undefined) break;
      const began = performance.now();
      const sleepMs = this.#pc.advance(SLICE_MS);
      this.#busyMs += performance.now() - began;
      if (this.#status === undefined && sleepMs > 0) Atomics.wait(this.#words, SHARED.doorbell, seen, sleepMs);
    }
    this.#pc.board.flushOutput();
    this.#debugging?.close();
    for (const descriptor of this.#descriptors) closeSync(descriptor);
    this.#traces.close();
    this.#send({ kind: 'ended', status: this.#status, message: this.#message });
  }

  #host(): PcHost {
    const serial = this.#options.serial.map((sink) => this.#sink(sink));
    const debug = this.#sink(this.#options.debugcon);
    const firmware = this.#sink(this.#options.firmwareLog);
    const { nvram } = this.#options;
    const variables = nvram === undefined ? undefined : variableStore(nvram);
    const sound = new SoundRingWriter(this.#sound);
    return {
      nowMs: () => performance.now(),
      tier: this.#options.tier,
      regionCompiler: this.#regions,
      preparedInterpreter,
      random: (into) => webcrypto.getRandomValues(into),
      poll: () => this.#pollNetwork(),
      onSerialOutput: (port, bytes) => serial[port]?.(bytes),
      onSound: this.#options.audio.out ? (samples) => sound.write(samples) : () => {},
      soundInput: this.#options.audio.in ? new RecordingInput(this.#recording) : DEAF,
      onLeds: (leds) => this.#send({ kind: 'leds', leds }),
      onDebugOutput: debug,
      onFirmwareLog: firmware,
      onVariablesChanged: (contents) => variables?.store(contents),
      onPowerOff: () => this.#end(STATUS.ok),
      onDebugStop: () => this.#debugging?.onStop(),
      onCrash: ({ report }) => this.#send({ kind: 'note', text: `the guest crashed\n${report}\n` }),
      onDebugExit: (value) => this.#end(((value << 1) | 1) & 0xff),
      onReset: (source) => {
        if (this.#options.noReboot) this.#end(STATUS.reset, `the guest reset the machine (${source})`);
      },
    };
  }

  #sink(sink: Sink): (bytes: Uint8Array) => void {
    if (sink.kind === 'none') return () => {};
    if (sink.kind === 'stdio') return (bytes) => this.#print(bytes);
    let descriptor: number;
    try {
      descriptor = openSync(sink.path, 'w');
    } catch (cause) {
      throw new CodedError(
        'unwritable',
        `${sink.path} cannot be written; check its folder`,
        { path: sink.path },
        cause,
      );
    }
    this.#descriptors.push(descriptor);
    return (bytes) => {
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
    };
  }

  /** A terminal that is slower than the guest slows the guest down. */
  #print(bytes: Uint8Array): void {
    Atomics.add(this.#words, SHARED.unwritten, bytes.length);
    this.#send({ kind: 'output', bytes });
    for (;;) {
      const unwritten = Atomics.load(this.#words, SHARED.unwritten);
      if (unwritten <= UNWRITTEN_LIMIT) return;
      Atomics.wait(this.#words, SHARED.unwritten, unwritten, OUTPUT_WAIT_MS);
    }
  }

  #send(message: FromMachine): void {
    this.#port.postMessage(message);
  }

  #end(status: number, message?: string): void {
    this.#status ??= status;
    this.#message ??= message;
  }

  #takeMessages(): void {
    for (let got = receiveMessageOnPort(this.#port); got; got = receiveMessageOnPort(this.#port)) {
      this.#take(got.message as ToMachine);
    }
  }

  #take(message: ToMachine): void {
    if (message.kind === 'serial') this.#pc.sendSerial(message.port, message.bytes);
    else if (message.kind === 'scancodes') this.#pc.putScancodes(message.set1);
    else if (message.kind === 'mouse') {
      const { dx, dy, dz, buttons, dw } = message;
      this.#pc.moveMouse(dx, dy, dz, buttons, dw);
    } else if (message.kind === 'point') this.#pc.pointMouse(message.x, message.y);
    else if (message.kind === 'watched') this.#pc.attachFrame(message.on ? this.#frame : undefined);
    else if (message.kind === 'regions') {
      this.#regions.lost(message.why);
      if (message.port) this.#regions.connect(regionPort(message.port));
      else this.#regions.close(message.why);
    } else if (message.kind === 'gdb') this.#debugging?.onGdb(message.event);
    else if (message.kind === 'end') this.#interrupted(message.status);
    else {
      let lines: readonly string[] = [];
      let error: string | undefined;
      try {
        lines = this.#carryOut(message.command);
      } catch (cause) {
        if (!(cause instanceof CodedError)) throw cause;
        error = cause.message;
      }
      this.#send({ kind: 'reply', id: message.id, lines, error });
    }
  }

  /** A signal: the machine is saved if there is a place for it. */
  #interrupted(status: number): void {
    if (this.#options.saveState === undefined) {
      this.#end(status);
      return;
    }
    try {
      this.#save(this.#options.saveState);
    } catch (cause) {
      if (!(cause instanceof CodedError)) throw cause;
      this.#end(STATUS.usage, cause.message);
    }
  }

  #carryOut(command: MonitorCommand): readonly string[] {
    const pc = this.#pc;
    switch (command.verb) {
      case 'pause':
        pc.pause();
        return [];
      case 'resume':
        pc.resume();
        return [];
      case 'reset':
        pc.reset();
        return [];
      case 'poweroff':
        pc.powerOff();
        this.#end(STATUS.ok);
        return [];
      case 'quit':
        this.#end(STATUS.ok);
        return [];
      case 'acpipowerbutton':
        return pc.pressPowerButton() ? [] : ['no operating system listens to the power button yet'];
      case 'nmi':
        return pc.raiseNmi() ? [] : ['the guest has masked it'];
      case 'savestate':
        this.#save(command.path ?? this.#options.saveState);
        return [];
      case 'keyboardputscancode':
        // Behind what is still being typed: commands keep their order.
        pc.keys.type([command.codes]);
        return [];
      case 'keyboardputstring':
        pc.keys.type(command.keys);
        return [];
      case 'screenshotpng':
        this.#screenshot(command.path, command.monitor);
        return [];
      case 'screentext':
        pc.publish(this.#frame);
        return screenText(this.#frame, pc.vram);
      case 'mouse':
        pc.moveMouse(command.dx, command.dy, command.dz, command.buttons, command.dw);
        return [];
      case 'setvideomodehint':
        this.#checkMonitor(command.hint.monitor);
        return pc.suggestMode(command.hint) ? [] : ["no driver of the guest's listens; it may see when it looks again"];
      case 'eject':
        pc.changeMedium(command.drive, undefined, { force: command.force });
        return [];
      case 'insert':
        pc.changeMedium(command.drive, openMedium(command.drive, command.path), { label: command.path });
        return [];
      case 'setlinkstate':
        pc.setCableConnected(command.slot, command.on);
        return [];
      case 'nic':
        pc.setAttachment(command.slot, command.attachment, command.promiscuous);
        return [];
      case 'nictrace':
        this.#traces.setOn(command.slot, command.on);
        return [];
      case 'nictracefile':
        this.#traces.setFile(command.slot, command.path);
        return [];
      case 'natpf':
      case 'natpfdelete':
      case 'natpflist':
      case 'bandwidthctl':
      case 'nicpromisc':
      case 'nicproperty':
      case 'natnetwork':
      case 'dhcpserver':
        return unreachable('the main thread has the networks');
      case 'info':
        return this.#info();
      case 'help':
        return [];
    }
  }

  /** A half-written file must not take the place of a good one. */
  #save(path: string | undefined): void {
    if (path === undefined) {
      throw new CodedError('bad-command', 'savestate needs the name of a file, here or with --save-state');
    }
    this.#pc.pause();
    const file = saveMachine(this.#pc);
    const unfinished = `${path}.unfinished`;
    try {
      const descriptor = openSync(unfinished, 'w');
      try {
        writeFileSync(descriptor, file);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      renameSync(unfinished, path);
    } catch (cause) {
      rmSync(unfinished, { force: true });
      this.#pc.resume();
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CodedError('unwritable', `the machine could not be saved: ${why}; it goes on running`, { path }, cause);
    }
    this.#end(STATUS.ok);
  }

  #checkMonitor(monitor: number): void {
    const { monitorCount } = this.#pc.board.vga;
    if (monitor < monitorCount) return;
    throw new CodedError('bad-command', `the machine has monitors 0 to ${monitorCount - 1}, and no ${monitor}`);
  }

  #screenshot(path: string, monitor: number): void {
    this.#checkMonitor(monitor);
    this.#pc.publish(this.#frame);
    let rasteriser = this.#rasterisers.get(monitor);
    if (!rasteriser) {
      rasteriser = new Rasteriser(this.#pc.vram, this.#frame, monitor);
      this.#rasterisers.set(monitor, rasteriser);
    }
    rasteriser.render();
    try {
      writeFileSync(path, toPng(rasteriser));
    } catch (cause) {
      throw new CodedError('unwritable', `${path} cannot be written; check its folder`, { path }, cause);
    }
  }

  #info(): string[] {
    const pc = this.#pc;
    const { ide, floppies, memoryMb, networkCards } = pc.config;
    const seconds = pc.guestNs / 1e9;
    const drive = (name: string, label: string | undefined): string[] =>
      label === undefined ? [] : [`${name}: ${label === '' ? 'empty' : label}`];
    return [
      `state: ${pc.state}`,
      `memory: ${memoryMb} MB`,
      `guest time: ${seconds.toFixed(3)} s`,
      `busy: ${(this.#busyMs / 1000).toFixed(3)} s`,
      `instructions: ${pc.cpu.retired}`,
      ...compilationLines(pc),
      ...drive('hda', ide.primaryMaster?.label),
      ...drive('hdb', ide.primarySlave?.label),
      ...drive('cdrom', ide.secondaryMaster?.label),
      ...drive('floppy', floppies[0]?.label),
      ...networkCards.map(({ slot, type, mac, attachment }) => {
        const { linkUp, counts } = pc.board.network.cable(slot);
        const link = linkUp ? 'link up' : 'no link';
        return `nic${slot}: ${type} ${mac} ${attachment.kind}, ${link}, ${counts.framesSent} frames sent, ${counts.framesReceived} received`;
      }),
    ];
  }
}

function compilationLines({ cpu }: Pc): string[] {
  const c = cpu.compilation;
  if (!c) return [];
  const classes = c.stalls.map((n, i) => `${i < STALL_MS.length ? `<${STALL_MS[i]}` : 'more'}: ${n}`);
  return [
    `compiled: ${c.regions} regions, ${c.instructions} instructions, ${c.bytes} bytes in ${c.batches} modules`,
    `compiled code dropped: ${c.killed}, ${c.evicted} of them for room; ${c.failed} failed`,
    `stalls by ms: ${classes.join(', ')}; longest ${c.longestStallMs.toFixed(1)}`,
  ];
}
