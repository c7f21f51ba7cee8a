// The options of `tabbox run` for the remote display: VBoxManage modifyvm's, in all its spellings.

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CodedError } from '#base/errors.ts';
import type { ClipboardWays } from '../rdp/channels/clipboard.ts';
import type { AuthType } from '../rdp/security/users.ts';
import { parseSwitch } from './platform-options.ts';

export interface VrdeOptions {
  readonly address: string;
  /** Tried in turn; 0: any that is free. */
  readonly ports: readonly number[];
  readonly method: 'rdp' | 'tls' | 'negotiate';
  /** Files; all undefined: a certificate signed by itself, kept in `keptCertificate`. */
  readonly certificate: string | undefined;
  readonly privateKey: string | undefined;
  readonly authority: string | undefined;
  readonly keptCertificate: string;
  readonly authType: AuthType;
  /** VBoxAuthSimple, VBoxAuth, or a program to ask. */
  readonly authLibrary: string;
  readonly multiple: boolean;
  readonly reuse: boolean;
  /** Percent; undefined: videos are shown like everything else. */
  readonly videoQuality: number | undefined;
  readonly disableDisplay: boolean;
  readonly disableInput: boolean;
  readonly disableAudio: boolean;
  readonly disableUpstreamAudio: boolean;
  readonly clipboard: ClipboardWays;
  readonly extraData: ReadonlyMap<string, string>;
  /** What a person should know, such as old spellings. */
  readonly warnings: readonly string[];
}

/** Values of node:util's parseArgs. */
type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** Behind `vrde` or `vrdp`: spellings, the first of which messages use. */
const OPTIONS = {
  on: [''],
  port: ['port', '-port', 'ports'],
  address: ['address', '-address'],
  authType: ['authtype', '-auth-type'],
  authLibrary: ['authlibrary', '-auth-library'],
  multiple: ['multicon', '-multi-con'],
  reuse: ['reusecon', '-reuse-con'],
  video: ['videochannel', '-video-channel'],
  videoQuality: ['videochannelquality', '-video-channel-quality'],
  property: ['property', '-property'],
} as const;
type Option = keyof typeof OPTIONS;
const MULTIPLE: readonly Option[] = ['property'];

/** Without `vrde` in front. The first spelling is today's. */
const CLIPBOARD_OPTIONS = ['clipboard-mode', 'clipboard'] as const;
/** Whether files go too. */
const FILES_OPTION = 'clipboard-file-transfers';
const NO_CLIPBOARD: ClipboardWays = { fromClient: false, toClient: false };
/** As VirtualBox has them; the host is whoever uses the machine. */
const CLIPBOARD_MODES: Readonly<Record<string, ClipboardWays>> = {
  disabled: NO_CLIPBOARD,
  hosttoguest: { fromClient: true, toClient: false },
  guesttohost: { fromClient: false, toClient: true },
  bidirectional: { fromClient: true, toClient: true },
};
const DEFAULT_PORT = 3389;
const DEFAULT_VIDEO_QUALITY = 75;
const LOOPBACK = '127.0.0.1';
const SIMPLE_LIBRARY = 'VBoxAuthSimple';
const METHODS = { rdp: 'rdp', tls: 'tls', negotiate: 'negotiate' } as const;
/** Properties that mean something here; VirtualBox's others are accepted where nothing would have to be done. */
const PROPERTIES = [
  'TCP/Ports',
  'TCP/Address',
  'VideoChannel/Enabled',
  'VideoChannel/Quality',
  'VideoChannel/DownscaleProtection',
  'Security/Method',
  'Security/ServerCertificate',
  'Security/ServerPrivateKey',
  'Security/CACertificate',
  'Client/DisableDisplay',
  'Client/DisableInput',
  'Client/DisableAudio',
  'Client/DisableUSB',
  'Client/DisableClipboard',
  'Client/DisableUpstreamAudio',
  'Client/DisableRDPDR',
] as const;
type Property = (typeof PROPERTIES)[number];
const FEATURE_PREFIX = 'VRDP/Feature/';

export const VRDE_HELP = `  Remote display: any RDP client; options as of VBoxManage modifyvm, --vrdp... works too
    --vrde on|off            (default: off)
    --vrdeport PORTS         such as 5000,5010-5012: the first that is free (default: ${DEFAULT_PORT})
    --vrdeaddress ADDRESS    (default: ${LOOPBACK})
    --vrdeauthtype TYPE      null, external or guest (default: null on the loopback address, external elsewhere)
    --vrdeauthlibrary WHAT   ${SIMPLE_LIBRARY} (default): hashes in extradata; VBoxAuth: PAM, the service that
                             VBOX_AUTH_PAM_SERVICE names (default: login); or a program that reads three lines,
                             user, domain and password, and says yes with exit status 0
    --vrdemulticon on|off    several clients at once (default: off)
    --vrdereusecon on|off    a second client takes over (default: off)
    --vrdevideochannel on|off   videos in less detail while they move, for RemoteFX, and those of a link as H.264
                             or JPEG for clients that can show it (default: on)
    --vrdevideochannelquality 10..100   of those in RemoteFX (default: ${DEFAULT_VIDEO_QUALITY})
    --vrdeproperty NAME=VALUE   Security/Method=TLS|RDP|Negotiate (default: TLS), Security/ServerCertificate=FILE,
                             Security/ServerPrivateKey=FILE, Security/CACertificate=FILE, TCP/Ports, TCP/Address,
                             Client/DisableDisplay=1, Client/DisableInput=1, Client/DisableAudio=1,
                             Client/DisableUpstreamAudio=1, Client/DisableClipboard=1
    --clipboard-mode MODE    text that clients copy: disabled (default), hosttoguest: Ctrl-Alt-Shift-V types it into the
                             machine, guesttohost: what others copy can be pasted by clients, and Ctrl-Alt-Shift-X
                             copies the text of a text screen, bidirectional: both
    --clipboard-file-transfers enabled|disabled  files that a client has copied come as a CD with Ctrl-Alt-Shift-V, and
                             other clients can paste them, where text may go (default: disabled)
    --extradata KEY=VALUE    VBoxAuthSimple/users/NAME=HASH and TabBox/nt-hashes/NAME=HASH (network level
                             authentication); tabbox passwordhash makes both
`;

const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);
const namesOf = (option: Option): { readonly name: string; readonly isOld: boolean }[] =>
  OPTIONS[option].flatMap((end) => [
    { name: `vrde${end}`, isOld: false },
    { name: `vrdp${end}`, isOld: true },
  ]);

/** For parseArgs. */
export function vrdeOptions(): Record<string, { type: 'string'; multiple?: true }> {
  const options: Record<string, { type: 'string'; multiple?: true }> = {
    extradata: { type: 'string', multiple: true },
  };
  for (const name of [...CLIPBOARD_OPTIONS, FILES_OPTION]) options[name] = { type: 'string' };
  for (const option of Object.keys(OPTIONS) as Option[]) {
    for (const { name } of namesOf(option)) {
      options[name] = MULTIPLE.includes(option) ? { type: 'string', multiple: true } : { type: 'string' };
    }
  }
  return options;
}

/** @returns undefined when the remote display is off. @throws CodedError<'usage'> */
export function parseVrde(values: Values): VrdeOptions | undefined {
  const warnings: string[] = [];
  const all = (option: Option): string[] =>
    namesOf(option).flatMap(({ name, isOld }) => {
      const value = values[name];
      if (value === undefined) return [];
      if (isOld) warnings.push(`Warning: '--${name}' is deprecated. Use '--vrde${name.slice(4)}'.`);
      return [value].flat().map(String);
    });
  const one = (option: Option): string | undefined => all(option).at(-1);
  const switchOf = (option: Option): boolean | undefined => parseSwitch(`--vrde${OPTIONS[option][0]}`, one(option));
  const isOn = switchOf('on') ?? false;
  const extraData = pairs('--extradata', [values['extradata'] ?? []].flat().map(String));
  const properties = propertiesOf(all('property'), extraData);
  const address = one('address') ?? properties.get('TCP/Address') ?? LOOPBACK;
  const ports = parsePorts(one('port') ?? properties.get('TCP/Ports'));
  const authType = parseAuthType(one('authType')) ?? (isLoopback(address) ? 'null' : 'external');
  if (authType === 'null' && !isLoopback(address)) {
    warnings.push(`anybody who reaches ${address} may use the machine; --vrdeauthtype external asks for a password`);
  }
  const options: VrdeOptions = {
    address: address === '' ? '::' : address,
    ports,
    method: parseMethod(properties.get('Security/Method')),
    certificate: properties.get('Security/ServerCertificate'),
    privateKey: properties.get('Security/ServerPrivateKey'),
    authority: properties.get('Security/CACertificate'),
    keptCertificate: join(process.env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'tabbox', 'rdp.pem'),
    authType,
    authLibrary: one('authLibrary') ?? SIMPLE_LIBRARY,
    multiple: switchOf('multiple') ?? false,
    reuse: switchOf('reuse') ?? false,
    videoQuality:
      (switchOf('video') ?? !isUnset(properties, 'VideoChannel/Enabled'))
        ? parseQuality(one('videoQuality') ?? properties.get('VideoChannel/Quality'))
        : undefined,
    disableDisplay: isSet(properties, 'Client/DisableDisplay'),
    disableInput: isSet(properties, 'Client/DisableInput'),
    disableAudio: isSet(properties, 'Client/DisableAudio'),
    disableUpstreamAudio: isSet(properties, 'Client/DisableUpstreamAudio'),
    clipboard: isSet(properties, 'Client/DisableClipboard')
      ? NO_CLIPBOARD
      : {
          ...parseClipboard(CLIPBOARD_OPTIONS.map((name) => values[name]).find((value) => value !== undefined)),
          ...(parseFiles(values[FILES_OPTION]) && { files: true }),
        },
    extraData,
    warnings,
  };
  if ((options.certificate === undefined) !== (options.privateKey === undefined)) {
    throw usage('Security/ServerCertificate and Security/ServerPrivateKey belong together; give both');
  }
  return isOn ? options : undefined;
}

function pairs(option: string, texts: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const text of texts) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (name === undefined) throw usage(`${option} takes NAME=VALUE, not '${text}'`);
    found.set(name, value);
  }
  return found;
}

/** Older machines have the client's features in their extradata. */
function propertiesOf(texts: readonly string[], extraData: ReadonlyMap<string, string>): Map<Property, string> {
  const given = pairs('--vrdeproperty', texts);
  for (const [key, value] of extraData) {
    const name = key.slice(FEATURE_PREFIX.length);
    if (key.startsWith(FEATURE_PREFIX) && !given.has(name)) given.set(name, value);
  }
  const found = new Map<Property, string>();
  for (const [name, value] of given) {
    const known = PROPERTIES.find((one) => one.toLowerCase() === name.toLowerCase());
    if (!known) throw usage(`there is no VRDE property '${name}'; there are ${PROPERTIES.join(', ')}`);
    found.set(known, value);
  }
  return found;
}

const isSet = (properties: ReadonlyMap<Property, string>, name: Property): boolean =>
  /^(1|true|on|yes)$/i.test(properties.get(name) ?? '');

const isUnset = (properties: ReadonlyMap<Property, string>, name: Property): boolean =>
  /^(0|false|off|no)$/i.test(properties.get(name) ?? '');

function parseQuality(text: string | undefined): number {
  const quality = text === undefined ? DEFAULT_VIDEO_QUALITY : Number(text);
  if (Number.isInteger(quality) && quality >= 10 && quality <= 100) return quality;
  throw usage(`--vrdevideochannelquality takes 10 to 100, not '${text}'`);
}

function parseClipboard(mode: Values[string]): ClipboardWays {
  const name = String(mode ?? 'disabled');
  if (Object.hasOwn(CLIPBOARD_MODES, name)) return CLIPBOARD_MODES[name];
  throw usage(`--clipboard-mode takes ${Object.keys(CLIPBOARD_MODES).join(', ')}, not '${name}'`);
}

function parseFiles(text: Values[string]): boolean {
  if (text === undefined || text === 'disabled' || text === 'enabled') return text === 'enabled';
  throw usage(`--${FILES_OPTION} takes enabled or disabled, not '${text}'`);
}

const isLoopback = (address: string): boolean => /^127\.|^::1$|^localhost$/i.test(address);

/** Ports and ranges, such as `5000,5010-5012`; `default` and `0` as VirtualBox has them: 3389. */
function parsePorts(text: string | undefined): number[] {
  if (text === undefined || text === 'default' || text === '0') return [DEFAULT_PORT];
  const ports = text.split(',').flatMap((part) => {
    const [, first, , last = first] = /^\s*(\d{1,5})\s*(-\s*(\d{1,5}))?\s*$/.exec(part) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (first === undefined || from < 1 || to > 65_535 || from > to) {
      throw usage(`--vrdeport takes ports and ranges such as 5000,5010-5012, not '${text}'`);
    }
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
  return ports;
}

function parseAuthType(text: string | undefined): AuthType | undefined {
  if (text === undefined || text === 'null' || text === 'external' || text === 'guest') return text;
  throw usage(`--vrdeauthtype takes null, external or guest, not '${text}'`);
}

function parseMethod(text: string | undefined): VrdeOptions['method'] {
  const method = (text ?? 'tls').toLowerCase();
  if (Object.hasOwn(METHODS, method)) return METHODS[method as keyof typeof METHODS];
  throw usage(`Security/Method is RDP, TLS or Negotiate, not '${text}'`);
}

/** @throws CodedError<'unreadable'> */
export function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError('unreadable', `${path} cannot be read: ${why}; check the name`, { path }, cause);
  }
}
