/** `window.tabbox`: what a machine shows and does, for tests and for looking closely. */
import type { MachineStats } from '#emu/workers/machine-protocol.ts';
import type { MachineSession } from '../session/machine-session.ts';
import type { Shell } from './shell.ts';

export interface DebugHandle {
  /** Ids of machines that are on. */
  readonly running: string[];
  /** @param id default: the machine shown */
  state(id?: string): string;
  screenText(id?: string): string[];
  /** The end of what the guest sent over its first serial port. */
  serialText(id?: string): string;
  sendSerial(text: string, id?: string): void;
  stats(id?: string): MachineStats | undefined;
  /** Tones that the speaker has played. */
  tonesPlayed(id?: string): number;
}

declare global {
  interface Window {
    tabbox?: DebugHandle;
  }
}

export function installDebugHandle(shell: Shell): void {
  const session = (id?: string): MachineSession | undefined =>
    id === undefined ? shell.session.value : shell.library.session(id);
  window.tabbox = {
    get running() {
      return shell.library.running.value.map(({ id }) => id);
    },
    state: (id) => session(id)?.state.value ?? 'off',
    screenText: (id) => session(id)?.screenText() ?? [],
    serialText: (id) => session(id)?.outputs.value?.serial.text ?? '',
    sendSerial: (text, id) => session(id)?.outputs.value?.serial.send(text),
    stats: (id) => session(id)?.stats.value,
    tonesPlayed: (id) => session(id)?.outputs.value?.speaker.tonesPlayed ?? 0,
  };
}
