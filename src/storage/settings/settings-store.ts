/** The machines a person has, in the browser's IndexedDB (library idb-keyval). */
import { createStore, del, entries, get, set, type UseStore, update } from 'idb-keyval';
import type { CodedError } from '#base/errors.ts';
import { type StorageErrorCode, storageError } from '../block/block-store.ts';
import {
  DEFAULT_SETTINGS,
  type EditableSettings,
  type MachineSettings,
  parseMachineSettings,
  settingsError,
} from './machine-settings.ts';

export interface SettingsStoreOptions {
  /** Default `tabbox-settings`. */
  readonly databaseName?: string;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly newId?: () => string;
}

export interface SettingsList {
  /** By name, then by age. */
  readonly machines: readonly MachineSettings[];
  /** Records that cannot be used; they are kept, in case a newer version of the program can. */
  readonly damaged: readonly { readonly id: string; readonly error: CodedError<StorageErrorCode> }[];
}

export class SettingsStore {
  readonly #store: UseStore;
  readonly #now: () => number;
  readonly #newId: () => string;

  constructor(options: SettingsStoreOptions = {}) {
    this.#store = createStore(options.databaseName ?? 'tabbox-settings', 'machines');
    this.#now = options.now ?? Date.now;
    this.#newId = options.newId ?? (() => crypto.randomUUID());
  }

  async list(): Promise<SettingsList> {
    const machines: MachineSettings[] = [];
    const damaged: { id: string; error: CodedError<StorageErrorCode> }[] = [];
    for (const [id, record] of await entries<string, unknown>(this.#store)) {
      try {
        machines.push(parseMachineSettings(record));
      } catch (cause) {
        damaged.push({ id, error: settingsError(cause) });
      }
    }
    machines.sort((a, b) => a.name.localeCompare(b.name) || a.createdMs - b.createdMs);
    return { machines, damaged };
  }

  /** @throws CodedError<'not-found' | 'bad-settings' | 'newer-version'> */
  async get(id: string): Promise<MachineSettings> {
    return parse(id, await get<unknown>(id, this.#store));
  }

  /** Makes a machine from defaults and what is given. @throws CodedError<'bad-settings'> */
  async create(settings: Partial<EditableSettings> = {}): Promise<MachineSettings> {
    const now = this.#now();
    const record = { ...DEFAULT_SETTINGS, ...settings, version: 1, id: this.#newId(), createdMs: now, modifiedMs: now };
    const machine = parseMachineSettings(record);
    await set(machine.id, machine, this.#store);
    return machine;
  }

  /**
   * Changes some fields, in one transaction with reading the others: two tabs do not undo each other's edits.
   * @throws CodedError<'not-found' | 'bad-settings' | 'newer-version'> and has changed nothing
   */
  async update(id: string, changes: Partial<EditableSettings>): Promise<MachineSettings> {
    let result: MachineSettings | undefined;
    let failure: unknown;
    // What is thrown inside the updater would surface in the database's event handler, not here.
    await update<unknown>(
      id,
      (record) => {
        try {
          const modifiedMs = this.#now();
          result = parseMachineSettings({ ...parse(id, record), ...changes, id, version: 1, modifiedMs });
          return result;
        } catch (cause) {
          failure = cause;
          return record;
        }
      },
      this.#store,
    );
    if (result) return result;
    if (failure instanceof Error && 'code' in failure && failure.code === 'not-found') await del(id, this.#store);
    throw failure;
  }

  /** Forgets a machine; its disks' stored changes stay until the storage worker discards them. No error if unknown. */
  async remove(id: string): Promise<void> {
    await del(id, this.#store);
  }
}

function parse(id: string, record: unknown): MachineSettings {
  if (record === undefined) throw storageError('not-found', 'there is no machine with this id', { id });
  return parseMachineSettings(record);
}
