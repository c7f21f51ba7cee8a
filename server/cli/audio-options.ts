// The sound card of a machine, as VBoxManage modifyvm names it.

import { CodedError } from '#base/errors.ts';
import { SOUND_CARDS, type SoundCard } from '#emu/machine/config.ts';
import { parseSwitch } from './platform-options.ts';

export interface AudioOptions {
  readonly card: SoundCard | null;
  /** What it plays is heard by those who watch the machine. */
  readonly out: boolean;
  /** It records what their microphones hear. */
  readonly in: boolean;
}

type Texts = Readonly<Partial<Record<keyof typeof AUDIO_OPTIONS, string | undefined>>>;

const text = { type: 'string' } as const;
/** Both generations of VBoxManage's spellings. */
export const AUDIO_OPTIONS = {
  ...{ 'audio-enabled': text, 'audio-driver': text, 'audio-controller': text, 'audio-codec': text },
  ...{ 'audio-out': text, 'audio-in': text },
  ...{ audio: text, audiocontroller: text, audiocodec: text, audioout: text, audioin: text },
} as const;

export const AUDIO_HELP = `    --audio-enabled on|off   a sound card, heard by those who watch the machine (default: off)
    --audio-controller ac97  which one; --audio-codec stac9700 is on it
    --audio-driver default|null|none  null: nobody hears it; none: there is no card
    --audio-out on|off       whether it is heard (default: on)
    --audio-in on|off        it records the microphones of RDP clients (default: off: silence)
`;

/** Backends of VBoxManage's, all of which are one here: whoever watches. */
const DRIVERS = ['default', 'null', 'none', 'oss', 'alsa', 'pulse', 'dsound', 'was', 'coreaudio'] as const;

const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);

/** @throws CodedError<'usage'> */
export function parseAudio(texts: Texts): AudioOptions {
  const driver = texts['audio-driver'] ?? texts.audio;
  const controller = texts['audio-controller'] ?? texts.audiocontroller;
  const codec = texts['audio-codec'] ?? texts.audiocodec;
  if (driver !== undefined && !(DRIVERS as readonly string[]).includes(driver)) {
    throw usage(`--audio-driver takes default, null or none, not '${driver}'`);
  }
  if (controller !== undefined && !(SOUND_CARDS as readonly string[]).includes(controller)) {
    throw usage(`--audio-controller takes ${SOUND_CARDS.join(', ')}, not '${controller}'; there are no others yet`);
  }
  if (codec !== undefined && codec !== 'stac9700') {
    throw usage(`--audio-codec takes stac9700, not '${codec}'; there are no others yet`);
  }
  const isEnabled = parseSwitch('--audio-enabled', texts['audio-enabled']);
  const isOut = parseSwitch('--audio-out', texts['audio-out'] ?? texts.audioout) ?? true;
  const isIn = parseSwitch('--audio-in', texts['audio-in'] ?? texts.audioin) ?? false;
  const isNamed = driver !== undefined || controller !== undefined || codec !== undefined;
  const hasCard = driver !== 'none' && (isEnabled ?? isNamed);
  const isConnected = driver !== 'null';
  return {
    card: hasCard ? ((controller ?? 'ac97') as SoundCard) : null,
    ...{ out: isOut && isConnected, in: isIn && isConnected },
  };
}
