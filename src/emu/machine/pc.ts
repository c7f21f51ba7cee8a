/**
 * A whole PC: board, CPU and guest time, and the loop that runs them. It lives on one thread of its host's and never
 * blocks; the host calls `advance` again and again and sleeps as long as it is told.
 */
import { TimerQueue } from '#base/clock.ts';
import { CodedError } from '#base/errors.ts';
import { MIB } from '#base/units.ts';
import type { RegionCompilerPort } from '#emu/cpu/jit/region-order.ts';
import type { TierMode } from '#emu/cpu/jit/tier1.ts';
import { LINEAR } from '#emu/cpu/state/layout.ts';
import type { LinearMemory } from '#emu/cpu/wasm/host.ts';
import type { ModeHint } from '#emu/devices/video/display-adapter.ts';
import { placeSystemRom } from '#emu/firmware/roms.ts';
import type { BlockPort } from '#emu/host/block.ts';
import type { SharedFrame } from '#emu/host/frame.ts';
import type { NicAttachment, PromiscuousPolicy } from '#emu/host/network-card.ts';
import { DEAF } from '#emu/host/sound.ts';
import { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { Board, type BoardEvents, type ResetSource } from './board.ts';
import { type DeviceRecord, restoreDevices, saveDevices } from './board-state.ts';
import { checkConfig, type MachineConfig, type MachineMedia, recabled, relabelled } from './config.ts';
import type { CpuParts, CpuPort, GuestCrash } from './cpu-port.ts';
import { prepareDirectBoot } from './direct-boot.ts';
import { type MachineTables, machineTables, provideFirmwareItems } from './firmware-setup.ts';
import { type GuestClock, HostClock, InstructionClock } from './guest-clock.ts';
import { IdleTicks } from './idle-ticks.ts';
import { KeyFeeder } from './key-feeder.ts';
import { type LinearLayout, linearLayout } from './linear-layout.ts';
import { SlicePlanner } from './slice-planner.ts';
import { SliceWatch } from './slice-watch.ts';

export type PcState = 'off' | 'running' | 'paused';

/** What a machine asks of its host. Every callback runs on the machine's thread, inside `advance` or a call to the machine. */
export interface PcHost extends Partial<Omit<BoardEvents, 'onReset' | 'onA20' | 'onInterruptRequest' | 'onNmi'>> {
  /** A monotonic clock in milliseconds with fractions. */
  readonly nowMs: () => number;
  /** Overwrites the bytes, at most 65 536, from a secure source: the guest's RDRAND. */
  readonly random?: ((into: Uint8Array) => void) | undefined;
  /** Which tiers run code: for tests and measurements. */
  readonly tier?: TierMode | undefined;
  /** Where hot code is compiled; without it on this thread, which stalls then. */
  readonly regionCompiler?: RegionCompilerPort | undefined;
  /** The interpreters as the program's build made them, compiled; without them they are made now. */
  readonly preparedInterpreter?: ((long: boolean) => unknown) | undefined;
  /** Completes block requests that are done; called before every slice. */
  readonly poll?: () => void;
  /** The guest broke. Inside `advance`. */
  readonly onCrash?: (crash: GuestCrash) => void;
  /** A debugger's stop: the machine is paused. */
  readonly onDebugStop?: () => void;
  /** Firmware has written its variables, some time ago: what its flash holds now, for storage. */
  readonly onVariablesChanged?: (contents: Uint8Array) => void;
  /** The machine was reset. */
  readonly onReset?: (source: ResetSource) => void;
}

export interface PcParts {
  readonly config: MachineConfig;
  readonly media: MachineMedia;
  readonly host: PcHost;
  /** At least `linearBytesOf(config)`, zeroed. */
  readonly linear: LinearMemory;
  readonly createCpu: (parts: CpuParts) => CpuPort;
}

/** The machine's record in a saved state; RAM is beside it. */
export interface PcRecord {
  readonly config: MachineConfig;
  readonly guestNs: number;
  readonly devices: DeviceRecord;
  readonly cpu: unknown;
}

export interface ChangeOptions {
  /** Also when the guest has locked the door. */
  readonly force?: boolean;
  /** What the host calls the medium. */
  readonly label?: string;
}

/** Some ten microseconds. */
const TSC_HOLDS = 2048;
const FRAME_MS = 1000 / 60;
/**
 * A person who has pressed a key waits for what it does; and a guest that goes to sleep has drawn what it wanted to. Then
 * pictures come as soon as so long after the last one.
 */
const PROMPT_FRAME_MS = 4;
/** How long after a key or a movement of the mouse its effect is looked out for. */
const PROMPT_MS = 100;
/** Variables are written byte by byte; they are stored once the writing has gone on for so long. */
const STORE_VARIABLES_MS = 500;
const CONVENTIONAL_BYTES = 0xa_0000;

/** Linear memory that a machine needs. @throws CodedError<'bad-config'> */
export function linearBytesOf(config: MachineConfig, media: MachineMedia): number {
  checkConfig(config, media);
  return linearLayout(config).byteCount;
}

export class Pc {
  readonly board: Board;
  readonly cpu: CpuPort;
  readonly memory: PhysicalMemory;
  /** Keys that wait for the guest to take them. */
  readonly keys: KeyFeeder;
  #config: MachineConfig;
  readonly #host: PcHost;
  readonly #layout: LinearLayout;
  readonly #tables: MachineTables;
  readonly #clock: GuestClock;
  readonly #queue: TimerQueue;
  readonly #timers: SliceWatch;
  readonly #planner: SlicePlanner;
  readonly #idleTicks = new IdleTicks();
  #state: PcState = 'off';
  #resetWanted: ResetSource | undefined;
  #frame: SharedFrame | undefined;
  #publishedMs = Number.NEGATIVE_INFINITY;
  /** When somebody last pressed a key or moved the mouse. */
  #inputMs = Number.NEGATIVE_INFINITY;
  /** When the flash was first seen changed, in host milliseconds. */
  #flashChangedMs: number | undefined;

  /** @throws CodedError when the configuration, a ROM or a medium is no good */
  constructor(parts: PcParts) {
    const { config, media, host, linear } = parts;
    checkConfig(config, media);
    this.#config = config;
    this.#host = host;
    this.#layout = linearLayout(config);
    this.memory = new PhysicalMemory({
      buffer: linear.buffer,
      pageMapAt: LINEAR.pageMap,
      dirtyMapAt: LINEAR.dirtyMap,
    });
    this.#mapRam();
    let cpu: CpuPort | undefined;
    this.#clock =
      config.nsPerInstruction === null
        ? new HostClock(host.nowMs)
        : new InstructionClock(config.nsPerInstruction, () => cpu?.retired ?? 0);
    this.#queue = new TimerQueue(this.#clock);
    this.#timers = new SliceWatch(this.#queue, () => cpu?.requestYield());
    this.#planner = new SlicePlanner(config.nsPerInstruction);
    const system = config.firmware.system;
    const rom = system ? placeSystemRom(this.memory, system, this.#layout.systemRomAt) : undefined;
    this.board = new Board({
      config,
      media,
      memory: this.memory,
      layout: this.#layout,
      timers: this.#timers,
      legacyRom: rom?.legacy,
      flashEnd: rom?.base,
      events: this.#events(() => cpu),
    });
    cpu = parts.createCpu({
      linear,
      physical: this.memory,
      ports: this.board.ports,
      interrupts: this.board.interrupts.source,
      localApic: this.board.interrupts.localApic,
      tsc: () => this.#timers.now(),
      tscHolds: TSC_HOLDS,
      random: parts.host.random,
      tier: parts.host.tier,
      regionCompiler: parts.host.regionCompiler,
      preparedInterpreter: parts.host.preparedInterpreter,
      nowMs: parts.host.nowMs,
      onFloatError: () => this.board.floatError.raise(),
      // A reset comes at the end of a block. What runs until then is nobody's crash: SeaBIOS goes on to a triple fault.
      onCrash: (crash) => {
        if (!this.#resetWanted) host.onCrash?.(crash);
      },
    });
    this.cpu = cpu;
    this.keys = new KeyFeeder(this.board.keyboard, this.#timers);
    this.#tables = machineTables(config, this.#layout.ramBytes);
    provideFirmwareItems(this.board.fwCfg, config, this.#layout.ramBytes, this.#tables);
  }

  /** With the labels of the media that are in the drives now. */
  get config(): MachineConfig {
    return this.#config;
  }

  get state(): PcState {
    return this.#state;
  }

  /** Guest time since power-on, in nanoseconds. */
  get guestNs(): number {
    return this.#clock.now();
  }

  /** Video memory, for a rasteriser. */
  get vram(): Uint8Array {
    return this.memory.bytes.subarray(this.#layout.vramAt, this.#layout.vramAt + this.#layout.vramBytes);
  }

  get ram(): Uint8Array {
    return this.memory.bytes.subarray(this.#layout.ramAt, this.#layout.ramAt + this.#layout.ramBytes);
  }

  /** @throws CodedError when the kernel is no good */
  powerOn(): void {
    if (this.#state !== 'off') return;
    this.#reset();
    this.#setState('running');
  }

  pause(): void {
    if (this.#state === 'running') this.#setState('paused');
  }

  resume(): void {
    if (this.#state === 'paused') this.#setState('running');
  }

  /** Pulls the plug. */
  powerOff(): void {
    this.#setState('off');
    this.cpu.requestYield();
  }

  /** The reset button. */
  reset(): void {
    if (this.#state === 'off') return;
    this.#resetWanted = 'host';
    this.cpu.requestYield();
  }

  /** @returns whether an operating system listens to it */
  pressPowerButton(): boolean {
    const { powerManagement } = this.board;
    const heard = powerManagement.powerButtonHeard;
    powerManagement.pressPowerButton();
    return heard;
  }

  /** @returns false when the guest has masked it */
  raiseNmi(): boolean {
    return this.board.nmiOpen && this.board.interrupts.pulseNmi();
  }

  /** Keys: set 1 scan codes. */
  putScancodes(set1: readonly number[]): void {
    this.#inputMs = this.#host.nowMs();
    this.board.keyboard.putScancodes(set1);
  }

  /** See `MouseInput.move`. */
  moveMouse(dx: number, dy: number, dz: number, buttons: number, dw = 0): void {
    this.#inputMs = this.#host.nowMs();
    const { mouse, pointing } = this.board;
    if (!pointing?.isTaken) mouse.move(dx, dy, dz, buttons, dw);
    else {
      if (dx !== 0 || dy !== 0) pointing.moveBy(dx, dy);
      mouse.move(0, 0, dz, buttons, dw);
    }
  }

  /** See `MouseInput.point`. */
  pointMouse(x: number, y: number): void {
    this.#inputMs = this.#host.nowMs();
    this.board.pointing?.point(x, y);
  }

  /**
   * What a monitor would like to be from now on. VBoxVGA's driver hears of it; others see it when they look again.
   * @returns false when no driver listens
   */
  suggestMode(hint: ModeHint): boolean {
    return this.board.vga.suggestMode(hint);
  }

  /** Bytes for a serial port, 0 to 3; they wait until the guest reads them. */
  sendSerial(port: number, bytes: Uint8Array): void {
    this.board.serial[port]?.send(bytes);
  }

  /**
   * Puts a disc or a diskette into the first drive of its kind, or takes it out with undefined; see `Drives.change`.
   * @throws CodedError<'no-drive' | 'locked'>, and what the drive says of the medium
   */
  changeMedium(kind: 'cdrom' | 'floppy', medium: BlockPort | undefined, options: ChangeOptions = {}): void {
    this.board.drives.change(kind, medium, options.force ?? false);
    this.#config = relabelled(this.#config, kind, medium ? (options.label ?? '') : '');
  }

  /** Plugs the cable of a network card, 1 to 8, in or out. @throws CodedError<'no-card'> */
  setCableConnected(slot: number, connected: boolean): void {
    this.board.network.cable(slot).connected = connected;
    this.#config = recabled(this.#config, slot, { cableConnected: connected });
  }

  /** Notes where the cable of a network card, 1 to 8, leads now; the host sees to it. @throws CodedError<'no-card'> */
  setAttachment(slot: number, attachment: NicAttachment, promiscuous?: PromiscuousPolicy): void {
    this.board.network.cable(slot);
    this.#config = recabled(this.#config, slot, { attachment, ...(promiscuous ? { promiscuous } : {}) });
  }

  /** Frames go here about 60 times a second from now on, and oftener when somebody waits; undefined: no more. */
  attachFrame(frame: SharedFrame | undefined): void {
    this.#frame = frame;
    this.#publishedMs = Number.NEGATIVE_INFINITY;
  }

  /** Makes the picture of now visible in a frame, whether attached or not. */
  publish(frame: SharedFrame): void {
    const { vga, pointing } = this.board;
    if (vga.publish(frame, pointing?.publish(frame))) this.cpu.flushTracked();
  }

  /**
   * Runs the guest for about `sliceMs` of host time.
   * @returns milliseconds for which nothing will happen unless the host calls; 0: go on at once; Infinity: off, paused, or
   * asleep for good
   */
  advance(sliceMs: number): number {
    const until = this.#host.nowMs() + sliceMs;
    let sleepMs = 0;
    let isShown = false;
    while (this.#state === 'running') {
      this.#host.poll?.();
      this.#queue.runExpired();
      this.#carryOutReset();
      if (this.#state !== 'running') break;
      sleepMs = this.#runSlice();
      const now = this.#host.nowMs();
      const isPrompt = sleepMs > 0 || now - this.#inputMs < PROMPT_MS;
      isShown = now - this.#publishedMs >= (isPrompt ? PROMPT_FRAME_MS : FRAME_MS);
      if (this.#frame && isShown) {
        this.#publishedMs = now;
        this.publish(this.#frame);
      }
      if (sleepMs > 0 || now >= until) break;
    }
    this.board.flushOutput();
    this.#storeVariables();
    if (this.#state !== 'running') return Number.POSITIVE_INFINITY;
    if (this.#flashChangedMs !== undefined) sleepMs = Math.min(sleepMs, STORE_VARIABLES_MS);
    if (!this.#frame || sleepMs === 0) return sleepMs;
    // Blinking text changes the picture while the guest sleeps.
    const frameMs = isShown ? FRAME_MS : PROMPT_FRAME_MS;
    return Math.min(sleepMs, Math.max(1, this.#publishedMs + frameMs - this.#host.nowMs()));
  }

  /** No device waits for a medium: `save` may be called. */
  get idle(): boolean {
    return this.board.idle;
  }

  /**
   * The machine's record, to be stored beside `ram`; not while `advance` runs.
   * @throws CodedError<'busy'> unless `idle`
   */
  save(): PcRecord {
    return {
      config: this.#config,
      guestNs: this.#clock.now(),
      devices: saveDevices(this.board),
      cpu: this.cpu.save(),
    };
  }

  /**
   * Puts a saved machine in place of this one, which was made from the record's configuration; it is paused afterwards.
   * @param fillRam writes guest memory
   * @throws CodedError<'damaged-state'> when the record is not one of this machine's; it is good for nothing then
   */
  restore(record: PcRecord, fillRam: (ram: Uint8Array) => void): void {
    this.board.reset();
    this.keys.reset();
    this.#resetWanted = undefined;
    try {
      this.#clock.setTime(record.guestNs);
      fillRam(this.ram);
      restoreDevices(this.board, record.devices);
      this.cpu.restore(record.cpu);
    } catch (cause) {
      if (cause instanceof CodedError) throw cause;
      throw new CodedError(
        'damaged-state',
        'the saved machine lacks a part of this one; restore it with the program that saved it',
        {},
        cause,
      );
    }
    // A device may have driven the wire before the interrupt controller was restored.
    this.cpu.setInterruptRequest(this.board.interrupts.requested);
    this.#setState('paused');
  }

  #storeVariables(): void {
    const { flash } = this.board;
    if (!flash) return;
    const now = this.#host.nowMs();
    if (flash.takeChanged()) this.#flashChangedMs ??= now;
    const since = this.#flashChangedMs;
    if (since === undefined || (this.#state === 'running' && now - since < STORE_VARIABLES_MS)) return;
    this.#flashChangedMs = undefined;
    this.#host.onVariablesChanged?.(flash.contents);
  }

  #setState(state: PcState): void {
    this.#state = state;
    this.#clock.setRunning(state === 'running');
  }

  #mapRam(): void {
    const { ramAt, ramBytes } = this.#layout;
    this.memory.mapBacked(0, CONVENTIONAL_BYTES, ramAt, 'ram');
    if (ramBytes > MIB) this.memory.mapBacked(MIB, ramBytes - MIB, ramAt + MIB, 'ram');
  }

  /** @returns milliseconds to sleep */
  #runSlice(): number {
    const { cpu } = this;
    const start = this.#clock.now();
    const next = this.#queue.nextDeadline;
    const retired = cpu.retired;
    this.#timers.begin(Math.min(next, start + this.#planner.sliceNs));
    const exit = cpu.run(this.#planner.budget(next - start));
    this.#timers.finish();
    const now = this.#clock.now();
    if (exit === 'budget' || exit === 'yield') this.#planner.measured(cpu.retired - retired, now - start);
    if (exit === 'debug') {
      this.pause();
      this.#host.onDebugStop?.();
      return 0;
    }
    if (exit === 'shutdown') this.#resetWanted ??= 'triple-fault';
    if (exit !== 'halt' || this.#resetWanted || this.#state !== 'running') return 0;
    const deadline = this.#queue.nextDeadline;
    if (deadline <= now) return 0;
    if (deadline !== Number.POSITIVE_INFINITY && this.#clock.skipTo(deadline)) return 0;
    this.#idleTicks.sleeping(cpu.retired, cpu.takeProgramRan(), deadline - now);
    return (this.#queue.latestWake(this.#idleTicks.slackNs) - now) / 1e6;
  }

  #carryOutReset(): void {
    const source = this.#resetWanted;
    if (!source) return;
    this.#resetWanted = undefined;
    this.#reset();
    this.#host.onReset?.(source);
  }

  #reset(): void {
    this.board.reset();
    this.keys.reset();
    this.cpu.reset();
    this.cpu.setA20(this.board.systemControl.a20);
    this.cpu.setInterruptRequest(this.board.interrupts.requested);
    const { kernel } = this.#config;
    if (!kernel) return;
    const entry = prepareDirectBoot(this.board, this.#config, kernel, this.#layout.ramBytes, this.#tables);
    this.cpu.enter(entry);
  }

  #events(cpu: () => CpuPort | undefined): BoardEvents {
    const host = this.#host;
    return {
      onSerialOutput: (port, bytes) => host.onSerialOutput?.(port, bytes),
      onDebugOutput: (bytes) => host.onDebugOutput?.(bytes),
      onFirmwareLog: (bytes) => host.onFirmwareLog?.(bytes),
      onPostCode: (code) => host.onPostCode?.(code),
      onTone: (hz, at) => host.onTone?.(hz, at),
      onSound: (samples) => host.onSound?.(samples),
      soundInput: host.soundInput ?? DEAF,
      onLeds: (leds) => host.onLeds?.(leds),
      onDriveActivity: (drive, kind) => host.onDriveActivity?.(drive, kind),
      onEjected: (drive) => host.onEjected?.(drive),
      onDebugExit: (value) => {
        this.powerOff();
        host.onDebugExit?.(value);
      },
      onPowerOff: () => {
        this.powerOff();
        host.onPowerOff?.();
      },
      onReset: (source) => {
        this.#resetWanted ??= source;
        cpu()?.requestYield();
      },
      onA20: (open) => cpu()?.setA20(open),
      onInterruptRequest: (asserted) => cpu()?.setInterruptRequest(asserted),
      onNmi: () => cpu()?.raiseNmi(),
    };
  }
}
