// A running machine's link to others: `--share`.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MachineDesktop } from '#display/desktop/machine-desktop.ts';
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import { JoinTokens, loadTokenKey, stateDirectory } from '../relay/join-tokens.ts';
import { HeadlessShare } from '../session/headless-share.ts';
import type { ShareOptions } from './share-options.ts';

export interface RunningMachine {
  /** All monitors in one. */
  readonly desktop: MachineDesktop;
  readonly keyboard: KeyboardInput;
  readonly mouse: MouseInput;
  readonly typeText: (text: string) => void;
  /** Puts the CD image in a file into the guest's drive. @throws CodedError */
  readonly insertDisc: (path: string) => Promise<void>;
  readonly say: (text: string) => void;
}

/** Discs that people gave, in files that last as long as the machine runs. */
export class GivenDiscs {
  #folder: string | undefined;
  #count = 0;

  /** @returns the path of a new file with these bytes */
  keep(image: Uint8Array): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), 'tabbox-discs-'));
    const path = join(this.#folder, `given-${++this.#count}.iso`);
    writeFileSync(path, image);
    return path;
  }

  close(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }
}

const TOKEN_SECONDS = 3600;

/** @throws CodedError<'bad-state'> this computer's key cannot be read */
export function shareHeadless(options: ShareOptions, machine: RunningMachine, discs: GivenDiscs): HeadlessShare {
  const { server, token, role, lifetime, uses } = options;
  const { desktop, keyboard, mouse, typeText, say } = machine;
  const name = `Machine on ${hostname()}`;
  return new HeadlessShare({
    ...{ server, machine: name, role, lifetime, uses, desktop, keyboard, mouse, typeText, say },
    token: async () => token ?? ownToken(name),
    fourByThree: () => desktop.fourByThree,
    places: () => desktop.places(),
    insertDisc: async (image, name) => {
      await machine.insertDisc(discs.keep(image));
      say(`${name} are in the CD drive`);
    },
  });
}

const ownToken = (subject: string): Promise<string> =>
  new JoinTokens(loadTokenKey(stateDirectory())).issue({
    ...{ subject, lifeSeconds: TOKEN_SECONDS },
    rights: { session: { host: true } },
  });
