// A running machine's link to others: `--share`.

import { hostname } from 'node:os';
import { CodedError } from '#base/errors.ts';
import type { Desktop } from '#display/desktop/desktop.ts';
import { textScancodes } from '#emu/devices/input/keystrokes.ts';
import { FRAME, FRAME_WORDS, type SharedFrame } from '#emu/host/frame.ts';
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import { JoinTokens, loadTokenKey, stateDirectory } from '../relay/join-tokens.ts';
import { HeadlessShare } from '../session/headless-share.ts';
import type { ShareOptions } from './share-options.ts';

export interface RunningMachine {
  readonly desktop: Desktop;
  readonly frame: SharedFrame;
  readonly keyboard: KeyboardInput;
  readonly mouse: MouseInput;
  /** Types keys at a pace the guest can follow. */
  readonly typeText: (keys: readonly (readonly number[])[]) => void;
  readonly say: (text: string) => void;
}

const TOKEN_SECONDS = 3600;

/** @throws CodedError<'bad-state'> this computer's key cannot be read */
export function shareHeadless(options: ShareOptions, machine: RunningMachine): HeadlessShare {
  const { server, token, role, lifetime, uses } = options;
  const { desktop, frame, keyboard, mouse, say } = machine;
  const record = new Uint32Array(FRAME_WORDS);
  const name = `Machine on ${hostname()}`;
  return new HeadlessShare({
    ...{ server, machine: name, role, lifetime, uses, desktop, keyboard, mouse, say },
    token: async () => token ?? ownToken(name),
    fourByThree: () => {
      frame.read(record);
      return record[FRAME.fourByThree] !== 0;
    },
    typeText: (text) => {
      try {
        machine.typeText(textScancodes(text));
      } catch (cause) {
        if (!(cause instanceof CodedError)) throw cause;
        say(`a text that was to be typed was not: ${cause.message}`);
      }
    },
  });
}

const ownToken = (subject: string): Promise<string> =>
  new JoinTokens(loadTokenKey(stateDirectory())).issue({
    ...{ subject, lifeSeconds: TOKEN_SECONDS },
    rights: { session: { host: true } },
  });
