/** One machine from power-on to power-off. */
import { type ReadonlySignal, type Signal, signal } from '@preact/signals';
import * as Comlink from 'comlink';
import { CodedError } from '#base/errors.ts';
import { closeBlockRing } from '#emu/host/block-ring.ts';
import { ByteRingReader } from '#emu/host/byte-ring.ts';
import { SharedFrame } from '#emu/host/frame.ts';
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import type {
  DirectBootSpec,
  DriveSlot,
  DriveSpec,
  MachineEvent,
  MachineLinks,
  MachineSpec,
  MachineStats,
  RunState,
} from '#emu/workers/machine-protocol.ts';
import type { MachineService } from '#emu/workers/machine-service.ts';
import type { FileStore } from '#storage/settings/file-store.ts';
import type { BootFileSettings, MachineSettings } from '#storage/settings/machine-settings.ts';
import type { DiskEvent, DiskSource, DiskSpec, DiskStatus } from '#storage/worker/disk-spec.ts';
import type { StorageService } from '#storage/worker/storage-service.ts';
import { Microphone } from '../audio/microphone.ts';
import { FROM_HERE, SoundPlayer } from '../audio/sound-player.ts';
import { SpeakerPlayer } from '../audio/speaker-player.ts';
import { SerialTerminal } from '../console/serial-terminal.ts';
import { screenText } from '../raster/screen-text.ts';
import { MachineSharing } from '../sharing/machine-sharing.ts';
import type { SharedScreen } from '../sharing/share-worker.ts';
import { ALWAYS_THERE, diskSpecOf, slotOf } from './drives.ts';
import { NetworkLinks, type Networks } from './network-links.ts';
import { PacketTraces } from './packet-traces.ts';
import { explain, type Problem, problem } from './problems.ts';

export type SessionState = 'starting' | 'running' | 'paused' | 'saving' | 'stopping' | 'off' | 'failed';

export interface SessionParts {
  readonly settings: MachineSettings;
  readonly storage: Comlink.Remote<StorageService>;
  readonly files: FileStore;
  /** Images picked in this session, by disk id. */
  readonly picked: ReadonlyMap<string, File>;
  readonly newMachineWorker: () => Worker;
  readonly newShareWorker: () => Worker;
  readonly networks: Networks;
  /** What relative addresses count from: the page's own. */
  readonly base: string;
  /** The first changes of a disk are safely in the browser. */
  readonly onKept: (diskId: string) => void;
}

/** What the page draws from and listens to while the machine is on. */
export interface Outputs {
  readonly vram: Uint8Array;
  readonly frame: SharedFrame;
  /** The memory of both, for other threads. */
  readonly shared: SharedScreen;
  readonly serial: SerialTerminal;
  readonly speaker: SpeakerPlayer;
  /** The sound card's. */
  readonly sound: SoundPlayer;
  /** What it records. */
  readonly microphone: Microphone;
}

interface Medium {
  readonly diskId: string;
  readonly ring: SharedArrayBuffer;
  readonly name: string;
}

/** Every machine has a CD drive here. */
const CD_SLOT: DriveSlot = 'hdc';
const STATS_INTERVAL_MS = 1000;
const POWER_OFF_PATIENCE_MS = 2000;
const FIRMWARE = {
  bios: 'guests/bios-256k.bin',
  vgaBios: 'guests/vgabios-stdvga.bin',
  uefi: 'guests/OVMF_CODE_4M.fd',
  uefiVariables: 'guests/OVMF_VARS_4M.fd',
} as const;
const variablesKey = (machineId: string): string => `${machineId}/variables`;
export const stateKey = (machineId: string): string => `${machineId}/state`;

export class MachineSession {
  readonly id: string;
  readonly settings: MachineSettings;
  readonly outputs: Signal<Outputs | undefined> = signal(undefined);
  readonly stats: Signal<MachineStats | undefined> = signal(undefined);
  readonly disks: Signal<readonly DiskStatus[]> = signal([]);
  readonly problem: Signal<Problem | undefined> = signal(undefined);
  /** What happened when the guest broke the last time. */
  readonly crash: Signal<string | undefined> = signal(undefined);
  /** The machine is shown to others. */
  readonly sharing: Signal<MachineSharing | undefined> = signal(undefined);
  /** What is in the drives, by slot. */
  readonly media: Signal<ReadonlyMap<DriveSlot, string>> = signal(new Map());
  readonly network: NetworkLinks;
  readonly traces: PacketTraces;
  readonly #state: Signal<SessionState> = signal('starting');
  readonly #parts: SessionParts;
  readonly #doorbell = new SharedArrayBuffer(4);
  readonly #media = new Map<DriveSlot, Medium>();
  readonly #kept = new Set<string>();
  #worker: Worker | undefined;
  #service: Comlink.Remote<MachineService> | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #mediaCount = 0;
  #troubledDisk: string | undefined;
  #variablesKept: Promise<void> = Promise.resolve();

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.settings = parts.settings;
    this.id = parts.settings.id;
    this.network = new NetworkLinks(this.id, this.settings, parts.networks, this.#doorbell);
    this.traces = new PacketTraces(this.settings.networkCards, () => this.#service);
  }

  get state(): ReadonlySignal<SessionState> {
    return this.#state;
  }

  /** Id of the disk that kept the machine from starting. */
  get troubledDisk(): string | undefined {
    return this.#troubledDisk;
  }

  readonly #ownKeyboard: KeyboardInput = {
    putScancodes: (set1) => {
      this.#run((service) => service.putScancodes(set1));
    },
  };

  readonly #ownMouse: MouseInput = {
    move: (dx, dy, dz, buttons, dw) => {
      this.#run((service) => service.moveMouse(dx, dy, dz, buttons, dw));
    },
    point: (x, y) => {
      this.#run((service) => service.pointMouse(x, y));
    },
  };

  /** Where keys of the person at the machine go; lost while it is off. Shared, they wait for the lease like everybody's. */
  readonly keyboard: KeyboardInput = {
    putScancodes: (set1) => (this.sharing.peek()?.keyboard ?? this.#ownKeyboard).putScancodes(set1),
  };

  readonly mouse: MouseInput = {
    move: (...report) => (this.sharing.peek()?.mouse ?? this.#ownMouse).move(...report),
    // Others cannot see who moved it where; shared, the mouse is captured as theirs are.
    point: (x, y) => {
      if (!this.sharing.peek()) this.#ownMouse.point?.(x, y);
    },
  };

  /** The guest takes positions of the pointer from here. */
  get takesPositions(): boolean {
    return this.outputs.peek()?.frame.takesPositions === true && this.sharing.peek() === undefined;
  }

  /**
   * Switches the machine on, from its saved state if it has one.
   * @throws whatever was in the way, after undoing what was done; `problem` says it too
   */
  async start(): Promise<void> {
    try {
      const savedState = await this.#savedState();
      const drives = await this.#openDrives();
      const [firmware, vgaBios, directBoot] = await Promise.all([
        this.#firmware(),
        this.#fetchBytes(FIRMWARE.vgaBios),
        this.#directBoot(),
      ]);
      const { memoryMb, videoMemoryMb, graphics, processor, bootOrder, localTimeClock, platform, audio } =
        this.settings;
      const networkCards = this.network.specs();
      const uuid = await uuidOf(this.id);
      const service = this.#spawn();
      const clockOffsetMinutes = localTimeClock ? -new Date().getTimezoneOffset() : 0;
      await service.subscribe(Comlink.proxy((event: MachineEvent) => this.#onEvent(event)));
      const links = await Promise.race([
        service.start({
          ...{
            memoryMb,
            processor,
            uuid,
            bootOrder,
            clockOffsetMinutes,
            platform,
            ...firmware,
            vgaBios,
            directBoot,
            drives,
            networkCards,
            savedState,
            graphics: { ...graphics, videoMemoryMb },
            soundCard: audio === 'ac97' ? audio : null,
          },
          doorbell: this.#doorbell,
        }),
        this.#workerFailure(),
      ]);
      this.#connect(links);
      await this.network.plug();
      if (savedState) await this.#parts.files.remove(stateKey(this.id));
      this.#state.value = 'running';
      this.#timer = setInterval(() => void this.#refresh(), STATS_INTERVAL_MS);
    } catch (error) {
      await this.#release(true);
      this.problem.value = explain(error);
      this.#state.value = 'failed';
      throw error;
    }
  }

  pause(): Promise<void> {
    this.outputs.value?.speaker.mute();
    return this.#call((service) => service.pause());
  }

  resume(): Promise<void> {
    return this.#call((service) => service.resume());
  }

  reset(): Promise<void> {
    return this.#call((service) => service.reset());
  }

  /** @throws CodedError<'not-heard'> when no operating system listens */
  async acpiPowerButton(): Promise<void> {
    if ((await this.#service?.acpiPowerButton()) !== false) return;
    throw new CodedError('not-heard', 'the guest does not listen to its power button, or not yet: use Power off');
  }

  /** Pulls the plug; what the guest has written so far is stored. */
  async powerOff(): Promise<void> {
    if (this.#state.value === 'off') return;
    this.#state.value = 'stopping';
    // A worker that hangs is ended all the same.
    await Promise.race([this.#service?.powerOff().catch(() => {}), sleep(POWER_OFF_PATIENCE_MS)]);
    await this.#finish();
  }

  /** Saves the whole machine, stores its disks and switches it off. @throws CodedError<'full'> and it runs on */
  async saveState(): Promise<void> {
    const service = this.#service;
    if (!service) return;
    const before = this.#state.value;
    this.#state.value = 'saving';
    try {
      await service.pause();
      const state = await service.saveState();
      await this.#parts.storage.flushAll();
      await this.#parts.files.put(stateKey(this.id), state);
    } catch (error) {
      if (before === 'running') await service.resume();
      this.#state.value = before;
      this.problem.value = explain(error);
      throw error;
    }
    await this.powerOff();
  }

  /** Types text on the guest's keyboard, at a pace it can follow. @throws CodedError<'no-key'> */
  typeText(text: string): Promise<void> {
    return this.#call((service) => service.typeText(text));
  }

  /** Presses keys together, as `Ctrl-Alt-Del`. @throws CodedError<'unknown-key'> */
  pressKeys(combination: string): Promise<void> {
    return this.#call((service) => service.pressKeys(combination));
  }

  /** Puts a medium into a drive for this session; what was in it is taken out. */
  async insertMedium(slot: DriveSlot, source: DiskSource, name: string): Promise<void> {
    const service = this.#service;
    if (!service) return;
    const { storage } = this.#parts;
    const diskId = `${this.id}-${slot}-session-${++this.#mediaCount}`;
    const changes = slot.startsWith('fd') ? 'forget' : 'none';
    const { ring } = await storage.openDisk({ id: diskId, source, changes }, this.#doorbell);
    try {
      await service.changeMedium(slot, ring);
    } catch (error) {
      await storage.closeDisk(diskId, true);
      throw error;
    }
    await this.#replaceMedium(slot, { diskId, ring, name });
  }

  async ejectMedium(slot: DriveSlot): Promise<void> {
    await this.#service?.changeMedium(slot, undefined);
    await this.#replaceMedium(slot, undefined);
  }

  /** Opens a session that others can be invited to. @param name the person's, as others see it */
  share(name: string): void {
    const outputs = this.outputs.value;
    if (!outputs || this.sharing.value) return;
    const { url: server, token } = this.#parts.networks.relay;
    this.sharing.value = new MachineSharing({
      ...{ screen: outputs.shared, server, token, machine: this.settings.name, name },
      ...{ keyboard: this.#ownKeyboard, mouse: this.#ownMouse, newShareWorker: this.#parts.newShareWorker },
      insertDisc: (image, name) => this.insertMedium(CD_SLOT, { kind: 'file', file: new Blob([image]) }, name),
      typeText: (text) => {
        this.typeText(text).catch((error: unknown) => {
          this.problem.value = explain(error);
        });
      },
    });
  }

  /** Ends the session; everybody who watches is sent away. */
  async stopSharing(): Promise<void> {
    const sharing = this.sharing.value;
    this.sharing.value = undefined;
    await sharing?.stop();
  }

  /** Plugs a network card's cable in or out, on the machine's side. */
  async setCableConnected(slot: number, connected: boolean): Promise<void> {
    await this.#call((service) => service.setCableConnected(slot, connected));
    await this.#refresh();
  }

  /** Follows changed settings of network cards as far as a running machine can: all but type, address and number. */
  async applyNetworks({ networkCards: cards, bandwidthGroups }: MachineSettings): Promise<void> {
    if (!this.#service) return;
    await this.network.setBandwidthGroups(bandwidthGroups);
    for (const before of this.network.cards.value) {
      const card = cards.find(
        ({ slot, type, mac }) => slot === before.slot && type === before.type && mac === before.mac,
      );
      if (!card || JSON.stringify(card) === JSON.stringify(before)) continue;
      const { cableConnected, trace, ...rest } = card;
      const { cableConnected: wasConnected, trace: wasTraced, ...restBefore } = before;
      if (JSON.stringify(rest) !== JSON.stringify(restBefore)) await this.network.replug(card);
      if (cableConnected !== wasConnected) await this.setCableConnected(card.slot, cableConnected);
      if (trace !== wasTraced) await (trace ? this.traces.start(card.slot) : this.traces.end(card.slot));
      this.network.note(card);
    }
  }

  /** Asks the guest for another size of a monitor, from 0: it follows if its driver does. */
  async suggestSize(monitor: number, width: number, height: number): Promise<void> {
    await this.#service?.suggestMode({ monitor, enabled: true, width, height });
  }

  /** Lines of a text screen; none in graphics modes. */
  screenText(): string[] {
    const outputs = this.outputs.value;
    return outputs ? screenText(outputs.frame, outputs.vram) : [];
  }

  /** The storage worker has news of one of this machine's disks. */
  onDiskEvent(event: DiskEvent): void {
    if (![...this.#media.values()].some(({ diskId }) => diskId === event.diskId)) return;
    if (event.kind === 'recovered' || event.kind === 'room') this.problem.value = undefined;
    else this.problem.value = problem(event.kind === 'error' ? event.code : event.kind, event.message);
  }

  #run(call: (service: Comlink.Remote<MachineService>) => Promise<void>): void {
    if (this.#service) call(this.#service).catch((error: unknown) => this.#onState('failed', String(error)));
  }

  async #call(call: (service: Comlink.Remote<MachineService>) => Promise<void>): Promise<void> {
    if (this.#service) await call(this.#service);
  }

  async #savedState(): Promise<Uint8Array | undefined> {
    const blob = await this.#parts.files.get(stateKey(this.id));
    return blob && new Uint8Array(await blob.arrayBuffer());
  }

  async #openDrives(): Promise<DriveSpec[]> {
    const { storage, picked, base } = this.#parts;
    const drives: DriveSpec[] = [];
    for (const drive of this.settings.drives) {
      const slot = slotOf(drive);
      this.#troubledDisk = drive.diskId;
      const spec = diskSpecOf(drive, picked, base);
      const ring = spec && (await this.#openDisk(storage, slot, spec));
      this.#troubledDisk = undefined;
      if (ring || drive.medium !== 'hard-disk') drives.push({ slot, medium: drive.medium, ring });
    }
    for (const { slot, medium } of ALWAYS_THERE) {
      if (!drives.some((drive) => drive.slot === slot)) drives.push({ slot, medium, ring: undefined });
    }
    return drives;
  }

  async #openDisk(
    storage: Comlink.Remote<StorageService>,
    slot: DriveSlot,
    spec: DiskSpec,
  ): Promise<SharedArrayBuffer> {
    const { ring, description } = await storage.openDisk(spec, this.#doorbell).catch((error: unknown) => {
      throw spec.source.kind === 'blank' ? withoutOriginal(error) : error;
    });
    this.#setMedium(slot, { diskId: spec.id, ring, name: description });
    if (spec.expectChanges) this.#kept.add(spec.id);
    return ring;
  }

  async #firmware(): Promise<Pick<MachineSpec, 'bios' | 'variables'>> {
    if (this.settings.firmware === 'BIOS' || this.settings.directBoot) {
      return { bios: await this.#fetchBytes(FIRMWARE.bios) };
    }
    const kept = await this.#parts.files.get(variablesKey(this.id));
    const [bios, variables] = await Promise.all([
      this.#fetchBytes(FIRMWARE.uefi),
      kept ? kept.arrayBuffer().then((bytes) => new Uint8Array(bytes)) : this.#fetchBytes(FIRMWARE.uefiVariables),
    ]).catch((cause: unknown) => {
      const why = 'there is no UEFI firmware here: run npm run guests -- ovmf on the server, or choose BIOS';
      throw new CodedError('not-found', why, {}, cause);
    });
    return { bios, variables };
  }

  async #directBoot(): Promise<DirectBootSpec | undefined> {
    const boot = this.settings.directBoot;
    if (!boot) return undefined;
    const [kernel, initrd] = await Promise.all([
      this.#bootFile(boot.kernel),
      boot.initrd ? this.#bootFile(boot.initrd) : undefined,
    ]);
    return { kernel, initrd, commandLine: boot.commandLine };
  }

  async #bootFile(file: BootFileSettings): Promise<Uint8Array> {
    if (file.kind === 'url') return this.#fetchBytes(file.url);
    const blob = await this.#parts.files.get(file.key);
    if (blob) return new Uint8Array(await blob.arrayBuffer());
    throw new CodedError('not-found', `${file.name} is no longer kept in this browser: choose it again`, {
      key: file.key,
    });
  }

  async #fetchBytes(url: string): Promise<Uint8Array> {
    const address = new URL(url, this.#parts.base).href;
    const response = await fetch(address).catch((cause: unknown) => {
      throw new CodedError('not-found', `${address} cannot be reached: is its server running?`, {}, cause);
    });
    if (!response.ok) {
      throw new CodedError('not-found', `${address} is not there (status ${response.status})`, { url: address });
    }
    return new Uint8Array(await response.arrayBuffer());
  }

  #spawn(): Comlink.Remote<MachineService> {
    this.#worker = this.#parts.newMachineWorker();
    this.#service = Comlink.wrap<MachineService>(this.#worker);
    this.#worker.addEventListener('error', (event) => this.#onState('failed', event.message));
    return this.#service;
  }

  /** Rejects when the worker cannot even be loaded; a call to it would wait for ever. */
  #workerFailure(): Promise<never> {
    return new Promise((_, reject) => {
      const because = (event: ErrorEvent): void =>
        reject(new CodedError('failed', event.message || 'the machine’s worker could not be loaded'));
      this.#worker?.addEventListener('error', because, { once: true });
    });
  }

  #connect(links: MachineLinks): void {
    const frame = new SharedFrame(links.frameBuffer, links.frameOffset, links.vram.length);
    const rings = { fromGuest: links.serialFromGuest, toGuest: links.serialToGuest, doorbell: this.#doorbell };
    this.outputs.value = {
      ...{ vram: links.vram, frame },
      shared: { vram: links.vram, frameBuffer: links.frameBuffer, frameOffset: links.frameOffset, sound: links.sound },
      serial: new SerialTerminal(rings),
      speaker: new SpeakerPlayer(new ByteRingReader(links.tones)),
      sound: new SoundPlayer(links.sound, FROM_HERE),
      microphone: new Microphone(links.recording),
    };
  }

  #onEvent(event: MachineEvent): void {
    if (event.kind === 'crash') this.crash.value = event.report;
    else if (event.kind === 'slow') this.problem.value = problem('slow', event.message);
    else if (event.kind === 'variables') this.#keepVariables(event.contents);
    else if (event.kind === 'ejected') void this.#replaceMedium(event.slot, undefined);
    else this.#onState(event.state, event.message);
  }

  #keepVariables(contents: Uint8Array<ArrayBuffer>): void {
    // After what is being stored already: the later one counts.
    this.#variablesKept = this.#variablesKept
      .then(() => this.#parts.files.put(variablesKey(this.id), new Blob([contents])))
      .catch((error: unknown) => {
        this.problem.value = explain(error);
      });
  }

  #onState(state: RunState, message: string): void {
    if (this.#state.value === 'stopping' || this.#state.value === 'off') return;
    if (state === 'failed') this.problem.value = problem('failed', message);
    if (state === 'off' || state === 'failed') void this.#finish(state);
    else if (this.#state.value !== 'saving') this.#state.value = state;
  }

  async #finish(state: 'off' | 'failed' = 'off'): Promise<void> {
    this.#state.value = 'stopping';
    await this.#release(false);
    this.#state.value = state;
  }

  /** @param evenIfUnsaved the machine never ran, so that nothing unsaved can be worth keeping */
  async #release(evenIfUnsaved: boolean): Promise<void> {
    clearInterval(this.#timer);
    await this.traces.endAll();
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#service?.[Comlink.releaseProxy]();
    this.#service = undefined;
    void this.stopSharing();
    this.outputs.value?.speaker.stop();
    this.outputs.value?.sound.stop();
    this.outputs.value?.microphone.stop();
    this.outputs.value?.serial.stop();
    this.outputs.value = undefined;
    await this.network.unplug();
    await this.#variablesKept;
    for (const { diskId, ring } of this.#media.values()) {
      try {
        await this.#parts.storage.closeDisk(diskId, evenIfUnsaved);
      } catch (error) {
        this.problem.value = explain(error);
      }
      closeBlockRing(ring, new Int32Array(this.#doorbell));
    }
    this.#media.clear();
    this.media.value = new Map();
  }

  async #replaceMedium(slot: DriveSlot, medium: Medium | undefined): Promise<void> {
    const before = this.#media.get(slot);
    this.#setMedium(slot, medium);
    if (before) await this.#parts.storage.closeDisk(before.diskId);
  }

  #setMedium(slot: DriveSlot, medium: Medium | undefined): void {
    if (medium) this.#media.set(slot, medium);
    else this.#media.delete(slot);
    this.media.value = new Map([...this.#media].map(([at, { name }]) => [at, name]));
  }

  async #refresh(): Promise<void> {
    const service = this.#service;
    const [stats, storage] = await Promise.all([
      service?.stats().catch(() => undefined),
      this.#parts.storage.status().catch(() => undefined),
    ]);
    if (stats) this.stats.value = stats;
    if (!storage) return;
    const mine = new Set([...this.#media.values()].map(({ diskId }) => diskId));
    this.disks.value = storage.disks.filter(({ id }) => mine.has(id));
    for (const { id, changedBytes, unsavedBytes } of this.disks.value) {
      if (changedBytes <= unsavedBytes || this.#kept.has(id)) continue;
      this.#kept.add(id);
      this.#parts.onKept(id);
    }
  }
}

/** A disk whose whole content was in the browser has no image to start again from. */
function withoutOriginal(error: unknown): unknown {
  if (!(error instanceof CodedError) || error.code !== 'evicted') return error;
  const why = 'the browser threw the content of this disk away, or its site data was cleared';
  return new CodedError('evicted-whole', why, error.details, error);
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Ids are UUIDs, except those of ready-made guests. */
async function uuidOf(id: string): Promise<Uint8Array> {
  if (UUID.test(id))
    return Uint8Array.from(id.replaceAll('-', '').match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(id)), 0, 16);
}
