/** The machines a person has, and those of them that are on. */
import { computed, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import * as Comlink from 'comlink';
import { CodedError } from '#base/errors.ts';
import { FileStore } from '#storage/settings/file-store.ts';
import type { DriveSettings, EditableSettings, MachineSettings } from '#storage/settings/machine-settings.ts';
import { SettingsStore } from '#storage/settings/settings-store.ts';
import type { StorageStatus } from '#storage/settings/storage-status.ts';
import type { DiskEvent } from '#storage/worker/disk-spec.ts';
import type { StorageService } from '#storage/worker/storage-service.ts';
import type { NetworkEvent, NetworkService } from '../../net-relay/worker/network-service.ts';
import type { RelayAddress } from '../../net-relay/worker/relay-carrier.ts';
import { canBeDirect } from '../sharing/direct-peer.ts';
import { placeOf } from './drives.ts';
import type { PlacedFile } from './image-files.ts';
import { MachineSession, stateKey } from './machine-session.ts';
import { type Networks, newCard } from './network-links.ts';
import { connectPeer } from './peer-connection.ts';
import { explain, type Problem } from './problems.ts';
import { type ReadyMade, readyMade } from './ready-made.ts';

export interface LibraryParts {
  readonly storage: Comlink.Remote<StorageService>;
  readonly newMachineWorker: () => Worker;
  readonly newShareWorker: () => Worker;
  readonly newNetworkWorker: () => Worker;
  /** Where networks are. */
  readonly relay: RelayAddress;
  /** What relative addresses count from. */
  readonly base: string;
}

/** Whether an image is copied into the browser, or read from the file for as long as the page is open. */
export type Keeping = 'copy' | 'session';

export interface NewMachine {
  readonly settings: Partial<EditableSettings>;
  readonly files: readonly (PlacedFile & { readonly keeping: Keeping })[];
  /** An empty disk for the guest to install on, in MB; 0 for none. */
  readonly emptyDiskMb: number;
  /** Image on a web server, or ''. */
  readonly url: string;
}

const SECTORS_PER_MB = 2048;

export class MachineLibrary {
  readonly machines: Signal<readonly MachineSettings[]> = signal([]);
  readonly damaged: Signal<readonly { readonly id: string; readonly message: string }[]> = signal([]);
  readonly sessions: Signal<ReadonlyMap<string, MachineSession>> = signal(new Map());
  /** Machines with a saved state. */
  readonly saved: Signal<ReadonlySet<string>> = signal(new Set());
  readonly quota: Signal<StorageStatus | undefined> = signal(undefined);
  readonly problem: Signal<Problem | undefined> = signal(undefined);
  readonly running: ReadonlySignal<readonly MachineSession[]> = computed(() =>
    [...this.sessions.value.values()].filter(({ state }) => !['off', 'failed'].includes(state.value)),
  );
  readonly #parts: LibraryParts;
  readonly #store = new SettingsStore();
  readonly #files = new FileStore();
  readonly #picked = new Map<string, File>();
  readonly #networks: Networks;
  #networkService: Comlink.Remote<NetworkService> | undefined;
  #askedToPersist = false;

  constructor(parts: LibraryParts) {
    this.#parts = parts;
    this.#networks = { service: () => this.#startNetworks(), relay: parts.relay };
    void parts.storage.subscribe(
      Comlink.proxy((event: DiskEvent) => {
        for (const session of this.sessions.value.values()) session.onDiskEvent(event);
      }),
    );
  }

  get storage(): Comlink.Remote<StorageService> {
    return this.#parts.storage;
  }

  /** Reads everything anew. */
  async refresh(): Promise<void> {
    const [{ machines, damaged }, keys, status] = await Promise.all([
      this.#store.list(),
      this.#files.keys(),
      this.#parts.storage.status(),
    ]);
    this.machines.value = machines;
    this.damaged.value = damaged.map(({ id, error }) => ({ id, message: error.message }));
    this.saved.value = new Set(machines.map(({ id }) => id).filter((id) => keys.includes(stateKey(id))));
    this.quota.value = status.browser;
  }

  /** The machine of a deep link: by id, by name, or a ready-made one that is made now. */
  async find(name: string): Promise<MachineSettings | undefined> {
    await this.refresh();
    const wanted = name.toLowerCase();
    const known = this.machines.value.find((one) => one.id === name || one.name.toLowerCase() === wanted);
    const ready = readyMade(name);
    return known ?? (ready && this.fromReadyMade(ready));
  }

  /** The machine of a ready-made guest, made at its first use. */
  async fromReadyMade({ id, settings }: ReadyMade): Promise<MachineSettings> {
    const known = await this.#store.get(id).catch(() => undefined);
    const machine = known ?? (await new SettingsStore({ newId: () => id }).create(withNetwork(settings)));
    await this.refresh();
    return machine;
  }

  session(id: string): MachineSession | undefined {
    return this.sessions.value.get(id);
  }

  /**
   * Switches a machine on, or gives the session it already has. What goes wrong is in the session's `problem`.
   */
  async start(settings: MachineSettings): Promise<MachineSession> {
    const present = this.session(settings.id);
    if (present && !['off', 'failed'].includes(present.state.value)) return present;
    const session = new MachineSession({
      settings,
      storage: this.#parts.storage,
      files: this.#files,
      picked: this.#picked,
      newMachineWorker: this.#parts.newMachineWorker,
      newShareWorker: this.#parts.newShareWorker,
      networks: this.#networks,
      base: this.#parts.base,
      onKept: (diskId) => void this.#markKept(settings.id, diskId),
    });
    this.sessions.value = new Map(this.sessions.value).set(settings.id, session);
    if (settings.drives.some(({ changes }) => changes === 'keep')) this.#askToPersist();
    await session.start().catch(() => {});
    await this.refresh();
    return session;
  }

  /** Powers off and forgets the session. */
  async stop(id: string): Promise<void> {
    await this.session(id)?.powerOff();
    await this.refresh();
  }

  /** The file of a drive that remembers only its name. @throws CodedError<'bad-image'> for another file */
  supplyFile(drive: DriveSettings, file: File): void {
    const { image, diskId } = drive;
    if (image?.kind === 'file' && file.size !== image.sizeBytes) {
      const why = `${file.name} has ${file.size} bytes, ${image.name} had ${image.sizeBytes}`;
      throw new CodedError('bad-image', why, { diskId });
    }
    this.#picked.set(diskId, file);
  }

  /** @throws CodedError when settings are not valid or there is no room */
  async create(wanted: NewMachine, onProgress: (text: string) => void): Promise<MachineSettings> {
    let machine = await this.#store.create(wanted.settings);
    try {
      const changes = await this.#attach(machine.id, wanted, onProgress);
      machine = await this.#store.update(machine.id, changes);
    } catch (error) {
      await this.remove(machine.id);
      throw error;
    }
    await this.refresh();
    return machine;
  }

  /** A machine that is on follows at once in what it can. */
  async update(id: string, changes: Partial<EditableSettings>): Promise<MachineSettings> {
    const machine = await this.#store.update(id, changes);
    if (changes.networkCards || changes.bandwidthGroups) await this.session(id)?.applyNetworks(machine);
    await this.refresh();
    return machine;
  }

  /** Deletes a machine that is off, with everything it keeps. */
  async remove(id: string): Promise<void> {
    await this.session(id)?.powerOff();
    const machine = await this.#store.get(id).catch(() => undefined);
    for (const { diskId, changes } of machine?.drives ?? []) {
      if (changes === 'keep') await this.#parts.storage.discard(diskId).catch(() => {});
      this.#picked.delete(diskId);
    }
    await this.#files.removeAll(`${id}/`);
    await this.#store.remove(id);
    const sessions = new Map(this.sessions.value);
    sessions.delete(id);
    this.sessions.value = sessions;
    await this.refresh();
  }

  async discardState(id: string): Promise<void> {
    await this.#files.remove(stateKey(id));
    await this.refresh();
  }

  /**
   * Throws away what a machine's disk changed, so that it starts from the original image. A saved state goes with it,
   * because it fits no other content; the machine's other disks keep theirs.
   */
  async startFresh(id: string, diskId: string): Promise<MachineSettings> {
    const machine = await this.#store.get(id);
    await this.#parts.storage.discard(diskId);
    await this.#files.remove(stateKey(id));
    const drives = machine.drives.map((drive) => (drive.diskId === diskId ? { ...drive, hasChanges: false } : drive));
    return this.update(id, { drives });
  }

  async #attach(
    id: string,
    wanted: NewMachine,
    onProgress: (text: string) => void,
  ): Promise<Partial<EditableSettings>> {
    const drives: DriveSettings[] = [];
    let directBoot = wanted.settings.directBoot ?? null;
    const kept = async (
      what: string,
      file: File,
    ): Promise<{ kind: 'kept'; key: string; name: string; sizeBytes: number }> => {
      const key = `${id}/${what}`;
      await this.#files.put(key, file);
      return { kind: 'kept', key, name: file.name, sizeBytes: file.size };
    };
    for (const placed of wanted.files) {
      const { role, file } = placed;
      if (role.kind === 'drive') drives.push(await this.#attachFile(id, placed, onProgress));
      else if (role.kind === 'kernel') {
        const commandLine = directBoot?.commandLine ?? '';
        directBoot = { initrd: null, ...directBoot, commandLine, kernel: await kept('kernel', file) };
      }
    }
    const initrd = wanted.files.find(({ role }) => role.kind === 'initrd');
    if (initrd && directBoot) directBoot = { ...directBoot, initrd: await kept('initrd', initrd.file) };
    const more: DriveSettings['image'][] = [];
    if (wanted.url) more.push({ kind: 'url', url: wanted.url });
    if (wanted.emptyDiskMb > 0) more.push({ kind: 'blank', sectorCount: wanted.emptyDiskMb * SECTORS_PER_MB });
    for (const image of more) drives.push(await this.#attachOther(id, drives, image));
    return { drives, directBoot };
  }

  async #attachFile(
    id: string,
    { file, role, keeping }: NewMachine['files'][number],
    onProgress: (text: string) => void,
  ): Promise<DriveSettings> {
    if (role.kind !== 'drive') throw new CodedError('bad-config', `${file.name} goes into no drive`);
    const { slot, medium } = role;
    const diskId = `${id}-${slot}`;
    const place = { ...placeOf(slot), medium, diskId };
    if (keeping === 'session') {
      this.#picked.set(diskId, file);
      const image = { kind: 'file', name: file.name, sizeBytes: file.size, lastModifiedMs: file.lastModified } as const;
      return { ...place, image, changes: medium === 'optical' ? 'none' : 'forget', hasChanges: false };
    }
    this.#askToPersist();
    const report = (done: number, total: number): void =>
      onProgress(`Copying ${file.name}: ${Math.floor((done / total) * 100)} %`);
    const sectorCount = await this.#parts.storage.importDisk(diskId, { kind: 'file', file }, Comlink.proxy(report));
    return { ...place, image: { kind: 'blank', sectorCount }, changes: 'keep', hasChanges: true };
  }

  /** A disk from the web, or an empty one, in the first slot its kind has left. */
  async #attachOther(
    id: string,
    others: readonly DriveSettings[],
    image: DriveSettings['image'],
  ): Promise<DriveSettings> {
    const source = image?.kind === 'url' ? new URL(image.url, this.#parts.base).href : undefined;
    const description = source ? await this.#parts.storage.describe({ kind: 'url', url: source }) : undefined;
    if (description?.refusal) throw new CodedError(description.refusal.code, description.refusal.message);
    const optical = description?.medium === 'optical';
    const floppy = description?.medium === 'floppy';
    const slots = optical ? (['hdc', 'hdd'] as const) : floppy ? (['fda', 'fdb'] as const) : (['hda', 'hdb'] as const);
    const slot = slots.find((one) => !others.some(({ diskId }) => diskId === `${id}-${one}`));
    if (!slot) throw new CodedError('bad-config', 'there is no drive left for another disk');
    return {
      ...placeOf(slot),
      medium: optical ? 'optical' : floppy ? 'floppy' : 'hard-disk',
      image,
      changes: optical ? 'none' : 'keep',
      diskId: `${id}-${slot}`,
      hasChanges: false,
    };
  }

  #startNetworks(): Comlink.Remote<NetworkService> {
    if (this.#networkService) return this.#networkService;
    const service = Comlink.wrap<NetworkService>(this.#parts.newNetworkWorker());
    void service.subscribe(
      Comlink.proxy((event: NetworkEvent) => this.sessions.value.get(event.machine)?.network.onEvent(event)),
    );
    if (canBeDirect()) void service.usePeers(Comlink.proxy(connectPeer));
    this.#networkService = service;
    return service;
  }

  async #markKept(id: string, diskId: string): Promise<void> {
    const machine = await this.#store.get(id).catch(() => undefined);
    if (!machine || machine.drives.every((drive) => drive.diskId !== diskId || drive.hasChanges)) return;
    const drives = machine.drives.map((drive) => (drive.diskId === diskId ? { ...drive, hasChanges: true } : drive));
    await this.update(id, { drives }).catch((error: unknown) => {
      this.problem.value = explain(error);
    });
  }

  /** Once a session, when there is something to lose. */
  #askToPersist(): void {
    if (this.#askedToPersist) return;
    this.#askedToPersist = true;
    void this.#parts.storage.persist();
  }
}

/** A network card with NAT, as VirtualBox gives to a new machine. */
export function withNetwork(settings: EditableSettings): EditableSettings {
  const card = newCard([]);
  return { ...settings, networkCards: card && settings.networkCards.length === 0 ? [card] : settings.networkCards };
}
