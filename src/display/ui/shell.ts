/** Where the person is in the page, and what they asked for. */
import { computed, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import type { DriveSettings, MachineSettings } from '#storage/settings/machine-settings.ts';
import type { MachineLibrary } from '../session/machine-library.ts';
import type { MachineSession } from '../session/machine-session.ts';
import { explain, type Problem, type Remedy } from '../session/problems.ts';

export type Dialog =
  | { readonly kind: 'new'; readonly files: readonly File[] }
  | { readonly kind: 'settings'; readonly id: string }
  | { readonly kind: 'share' };

export class Shell {
  readonly library: MachineLibrary;
  /** Id of the machine shown; undefined on the home view. */
  readonly shown: Signal<string | undefined> = signal(undefined);
  readonly dialog: Signal<Dialog | undefined> = signal(undefined);
  readonly problem: Signal<Problem | undefined> = signal(undefined);
  /** False until the machines have been read once. */
  readonly ready: Signal<boolean> = signal(false);
  readonly settings: ReadonlySignal<MachineSettings | undefined>;
  readonly session: ReadonlySignal<MachineSession | undefined>;

  constructor(library: MachineLibrary) {
    this.library = library;
    this.settings = computed(() => library.machines.value.find(({ id }) => id === this.shown.value));
    this.session = computed(() => library.sessions.value.get(this.shown.value ?? ''));
    addEventListener('popstate', () => void this.open(new URL(location.href)));
    // Switching the machine off takes longer than a page has; what the guest wrote can still be stored.
    addEventListener('pagehide', () => void library.storage.flushAll());
    addEventListener('beforeunload', (event) => {
      if (library.running.value.some(({ state }) => state.value === 'running' || state.value === 'saving')) {
        event.preventDefault();
      }
    });
  }

  /** Follows an address: `?vm=NAME` shows a machine, `autostart=1` also starts it. */
  async open(address: URL): Promise<void> {
    await this.attempt(async () => {
      const name = address.searchParams.get('vm');
      if (name === null) {
        this.shown.value = undefined;
        await this.library.refresh();
        return;
      }
      const machine = await this.library.find(name);
      if (!machine) {
        this.problem.value = {
          code: 'no-machine',
          title: `There is no machine called “${name}”`,
          why: 'The address names a machine that this browser does not have; machines are kept in the browser where they were made.',
          stillWorks: 'The machines below.',
          action: { label: 'Go to the machines', remedy: 'home' },
        };
        return;
      }
      this.shown.value = machine.id;
      if (address.searchParams.get('autostart') === '1') await this.library.start(machine);
    });
    this.ready.value = true;
  }

  /** Shows a machine and, unless it is on already, switches it on. */
  async run(machine: MachineSettings): Promise<void> {
    this.#go(machine.id);
    await this.attempt(async () => {
      await this.library.start(machine);
    });
  }

  home(): void {
    this.#go(undefined);
    void this.attempt(() => this.library.refresh());
  }

  /** Does what a problem's button says. @param id the machine it is about */
  async remedy(remedy: Remedy, id: string | undefined): Promise<void> {
    this.problem.value = undefined;
    const machine = this.library.machines.value.find((one) => one.id === id);
    if (remedy === 'reload') location.reload();
    else if (remedy === 'home') this.home();
    else if (remedy === 'settings' && machine) this.dialog.value = { kind: 'settings', id: machine.id };
    else if (remedy === 'discard-state' && machine) {
      await this.attempt(() => this.library.discardState(machine.id));
      await this.run(machine);
    } else if (remedy === 'start-fresh' && machine) {
      const diskId = this.library.session(machine.id)?.troubledDisk;
      if (diskId) await this.attempt(async () => this.run(await this.library.startFresh(machine.id, diskId)));
    } else if (remedy === 'retry' && machine) await this.#retry(machine);
  }

  /** The person chose the file of a drive that remembers only its name. */
  async supplyFile(machine: MachineSettings, drive: DriveSettings, file: File): Promise<void> {
    await this.attempt(async () => {
      this.library.supplyFile(drive, file);
      await this.run(machine);
    });
  }

  /** Runs something that may fail, and says so. */
  async attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.problem.value = explain(error);
    }
  }

  /** A running machine only needs its disks stored again; one that is off starts. */
  async #retry(machine: MachineSettings): Promise<void> {
    const session = this.library.session(machine.id);
    if (!session || ['off', 'failed'].includes(session.state.value)) return this.run(machine);
    session.problem.value = undefined;
    await this.attempt(() => this.library.storage.flushAll());
  }

  #go(id: string | undefined): void {
    const address = new URL(location.href);
    address.search = '';
    if (id !== undefined) address.searchParams.set('vm', id);
    if (address.href !== location.href) history.pushState(null, '', address);
    this.shown.value = id;
    this.problem.value = undefined;
  }
}
