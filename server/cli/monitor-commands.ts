// The monitor's language: one command a line, VBoxManage controlvm's verbs and a few of ours.

import { CodedError } from '#base/errors.ts';
import { parseScancodeHex, textScancodes } from '#emu/devices/input/keystrokes.ts';
import type { ModeHint } from '#emu/devices/video/display-adapter.ts';
import { MAX_MONITORS } from '#emu/host/frame.ts';
import type { NicAttachment, PromiscuousPolicy } from '#emu/host/network-card.ts';
import { type DhcpServerCommand, parseDhcpServerCommand } from './dhcp-server-command.ts';
import { type NatNetworkCommand, parseNatNetworkCommand } from './nat-network-command.ts';

/** Carried out where the networks are, not by the machine. `slot` is 1 to 8. */
export type NetworkCommand =
  | { readonly verb: 'natpf'; readonly slot: number; readonly rule: string }
  | { readonly verb: 'natpfdelete'; readonly slot: number; readonly name: string }
  | { readonly verb: 'natpflist'; readonly slot: number }
  | {
      readonly verb: 'nic';
      readonly slot: number;
      readonly attachment: NicAttachment;
      readonly promiscuous?: PromiscuousPolicy | undefined;
    }
  | { readonly verb: 'nicpromisc'; readonly slot: number; readonly policy: PromiscuousPolicy }
  | { readonly verb: 'nicproperty'; readonly slot: number; readonly name: string; readonly value: string }
  | {
      readonly verb: 'bandwidthctl';
      readonly action: 'add' | 'set' | 'remove' | 'list';
      readonly name: string;
      readonly limit: string;
    }
  | NatNetworkCommand
  | DhcpServerCommand;

const NETWORK_VERBS: readonly string[] = [
  ...['natpf', 'natpfdelete', 'natpflist', 'bandwidthctl', 'natnetwork', 'dhcpserver'],
  ...['nic', 'nicpromisc', 'nicproperty'],
];
export const isNetworkCommand = (command: MonitorCommand): command is NetworkCommand =>
  NETWORK_VERBS.includes(command.verb);

export type MonitorCommand =
  | NetworkCommand
  | { readonly verb: 'pause' | 'resume' | 'reset' | 'poweroff' | 'acpipowerbutton' | 'nmi' }
  | { readonly verb: 'screentext' | 'info' | 'quit' | 'help' }
  | { readonly verb: 'savestate'; readonly path: string | undefined }
  | { readonly verb: 'keyboardputscancode'; readonly codes: readonly number[] }
  | { readonly verb: 'keyboardputstring'; readonly keys: readonly (readonly number[])[] }
  /** `monitor` is 0 to 3. */
  | { readonly verb: 'screenshotpng'; readonly path: string; readonly monitor: number }
  | {
      readonly verb: 'mouse';
      readonly dx: number;
      readonly dy: number;
      readonly dz: number;
      readonly buttons: number;
      readonly dw: number;
    }
  | { readonly verb: 'setvideomodehint'; readonly hint: ModeHint }
  | { readonly verb: 'eject'; readonly drive: MediaDrive; readonly force: boolean }
  | { readonly verb: 'insert'; readonly drive: MediaDrive; readonly path: string }
  /** `slot` is 1 to 8. */
  | { readonly verb: 'setlinkstate' | 'nictrace'; readonly slot: number; readonly on: boolean }
  | { readonly verb: 'nictracefile'; readonly slot: number; readonly path: string };

export type MediaDrive = 'cdrom' | 'floppy';

export const MONITOR_HELP: readonly string[] = [
  'pause, resume                     stop guest time, go on',
  'reset                             the reset button',
  'poweroff                          pull the plug; ends the run',
  'acpipowerbutton                   ask the guest to shut down',
  'nmi                               raise a non-maskable interrupt',
  'savestate [FILE]                  save the machine and end the run',
  'keyboardputscancode HEX...        scan codes of set 1, such as 1c 9c',
  'keyboardputstring TEXT            type; \\n is Enter, \\t Tab, \\e Escape, \\\\ a backslash',
  'screenshotpng FILE [MONITOR]      a screen as a picture; monitors are 0 to 3',
  'screentext                        the text on the screen',
  'mouse DX DY [DZ] [BUTTONS] [DW]   move; wheels: DZ down, DW left; buttons: 1 left, 2 right, 4 middle, 8 back',
  '                                  and 16 forward, added up',
  'setvideomodehint WIDTH HEIGHT [32 [MONITOR [yes|no | X Y]]]   the mode a monitor asks the guest for, whether it is',
  '                                  there, where it stands',
  'eject cdrom|floppy [force]        take the medium out',
  'insert cdrom|floppy FILE          put a medium in',
  'setlinkstateN on|off              plug the cable of network card N in or out',
  'nicN WHAT [NAME]                  attach network card N: null, nat, intnet, bridged, hostonly, natnetwork, generic',
  "nicpromiscN deny|allow-vms|allow-all   what it sees of others' frames",
  'nicpropertyN NAME=VALUE           a property of its generic driver',
  'nictraceN on|off                  write what passes network card N to its trace file',
  'nictracefileN FILE                name that file',
  'natpfN RULE                       forward a port: name,tcp|udp,hostip,hostport,guestip,guestport',
  'natpfN delete NAME                stop that; connections go on',
  'natpfN                            list the rules of network card N',
  'bandwidthctl add|set NAME --limit LIMIT   a limit for cards: 20m, 100k ... bits a second, 0 none',
  'bandwidthctl list, bandwidthctl remove NAME',
  'natnetwork add|modify --netname NAME --network NET [--dhcp, --ipv6 on|off] [--port-forward-4 [delete] RULE] ...',
  'natnetwork remove|start|stop --netname NAME, natnetwork list [NAME]   NAT networks, as VBoxManage has them',
  'dhcpserver add|modify --network NAME|--interface NAME [--server-ip, --netmask, --lower-ip, --upper-ip IP]',
  'dhcpserver remove --network NAME|--interface NAME, dhcpserver list   of internal and host-only networks',
  'info                              state and counters',
  'quit                              end the run at once',
];

const bad = (message: string): CodedError<'bad-command'> => new CodedError('bad-command', message);

/**
 * @returns undefined for an empty line
 * @throws CodedError<'bad-command' | 'no-key' | 'bad-scancode'>
 */
export function parseMonitorLine(line: string): MonitorCommand | undefined {
  const text = line.trim();
  if (text === '') return undefined;
  const space = text.search(/\s/);
  const verb = space < 0 ? text : text.slice(0, space);
  const rest = space < 0 ? '' : text.slice(space).trim();
  const words = rest === '' ? [] : rest.split(/\s+/);
  switch (verb) {
    case 'pause':
    case 'resume':
    case 'reset':
    case 'poweroff':
    case 'acpipowerbutton':
    case 'nmi':
    case 'screentext':
    case 'info':
    case 'quit':
    case 'help':
      if (rest !== '') throw bad(`${verb} takes no arguments`);
      return { verb };
    case 'savestate':
      return { verb, path: rest === '' ? undefined : unquoted(rest) };
    case 'keyboardputscancode':
      return { verb, codes: parseScancodeHex(words) };
    case 'keyboardputstring':
      // The text begins after one space, so that it may begin with a space itself.
      return { verb, keys: textKeys(line.trimStart().slice(verb.length + 1)) };
    case 'screenshotpng':
      return parseScreenshot(rest);
    case 'mouse':
      return parseMouse(words);
    case 'setvideomodehint':
      return parseModeHint(words);
    case 'eject':
      if (words.length > 2 || (words[1] ?? 'force') !== 'force') throw bad('eject takes cdrom or floppy, then force');
      return { verb, drive: parseDrive(verb, words[0]), force: words[1] === 'force' };
    case 'insert': {
      const drive = parseDrive(verb, words[0]);
      const path = rest.slice(drive.length).trim();
      if (path === '') throw bad(`insert ${drive} takes the name of a file`);
      return { verb, drive, path: unquoted(path) };
    }
    case 'bandwidthctl':
      return parseBandwidth(words);
    case 'dhcpserver':
      return parseDhcpServerCommand(rest);
    case 'natnetwork':
      return parseNatNetworkCommand(rest);
    default:
      return parseCardCommand(verb, rest) ?? refuse(verb);
  }
}

function refuse(verb: string): never {
  throw bad(`there is no command '${verb}'; help lists them`);
}

/** Verbs that end in the number of a network card. */
function parseCardCommand(verb: string, rest: string): MonitorCommand | undefined {
  const [, name, digit] =
    /^(setlinkstate|nictrace|nictracefile|natpf|nic|nicpromisc|nicproperty)([1-8])$/.exec(verb) ?? [];
  const slot = Number(digit);
  switch (name) {
    case 'setlinkstate':
    case 'nictrace':
      if (rest !== 'on' && rest !== 'off') throw bad(`${verb} takes on or off`);
      return { verb: name, slot, on: rest === 'on' };
    case 'nictracefile':
      if (rest === '') throw bad(`${verb} takes the name of a file`);
      return { verb: name, slot, path: unquoted(rest) };
    case 'nic':
      return { verb: name, slot, attachment: parseAttachment(verb, rest) };
    case 'nicpromisc':
      if (rest === 'deny' || rest === 'allow-vms' || rest === 'allow-all') return { verb: name, slot, policy: rest };
      throw bad(`${verb} takes deny, allow-vms or allow-all`);
    case 'nicproperty': {
      const [, property, value] = /^([^=]+)=(.*)$/.exec(rest) ?? [];
      if (property === undefined) throw bad(`${verb} takes NAME=VALUE`);
      return { verb: name, slot, name: property, value };
    }
    case 'natpf': {
      if (rest === '') return { verb: 'natpflist', slot };
      const [, gone] = /^delete\s+(.+)$/.exec(rest) ?? [];
      return gone === undefined
        ? { verb: 'natpf', slot, rule: unquoted(rest) }
        : { verb: 'natpfdelete', slot, name: unquoted(gone) };
    }
    default:
      return undefined;
  }
}

/** As `VBoxManage controlvm nicN` has it. */
function parseAttachment(verb: string, text: string): NicAttachment {
  const [kind = '', ...rest] = text.split(/\s+/);
  const name = unquoted(rest.join(' '));
  const needed = (what: string): string => {
    if (name !== '') return name;
    throw bad(`${verb} ${kind} takes ${what}`);
  };
  switch (kind) {
    case 'null':
      return { kind };
    case 'nat':
      return { kind, network: name, forwards: [] };
    case 'intnet':
      return { kind, network: name || 'intnet' };
    case 'natnetwork':
      return { kind, network: name || 'NatNetwork' };
    case 'hostonly':
      return { kind, adapter: name || 'vboxnet0' };
    case 'bridged':
      return { kind, adapter: needed('the name of an interface') };
    case 'generic':
      return { kind, driver: needed('the name of a driver'), properties: {} };
    default:
      throw bad(`${verb} takes null, nat, intnet, bridged, hostonly, natnetwork or generic, then a name`);
  }
}

/** As VBoxManage bandwidthctl has it, without the machine. */
function parseBandwidth([action, ...words]: readonly string[]): MonitorCommand {
  const usage = 'bandwidthctl takes list, add NAME --limit LIMIT, set NAME --limit LIMIT or remove NAME';
  if (action === 'list' && words.length === 0) return { verb: 'bandwidthctl', action, name: '', limit: '' };
  const [name, ...rest] = words;
  if (name === undefined) throw bad(usage);
  if (action === 'remove' && rest.length === 0) return { verb: 'bandwidthctl', action, name, limit: '' };
  const limit = rest[rest.indexOf('--limit') + 1];
  const type = rest.includes('--type') ? rest[rest.indexOf('--type') + 1] : 'network';
  const fits = rest.includes('--limit') && limit !== undefined && type === 'network';
  if ((action !== 'add' && action !== 'set') || !fits) throw bad(usage);
  return { verb: 'bandwidthctl', action, name, limit };
}

function parseDrive(verb: string, word: string | undefined): MediaDrive {
  if (word === 'cdrom' || word === 'floppy') return word;
  throw bad(`${verb} takes cdrom or floppy`);
}

function parseMouse(words: readonly string[]): MonitorCommand {
  const numbers = words.map((word) => (/^-?\d{1,6}$/.test(word) ? Number(word) : Number.NaN));
  if (words.length < 2 || words.length > 5 || numbers.some(Number.isNaN)) {
    throw bad('mouse takes DX DY, then DZ, buttons and DW; whole numbers');
  }
  const [dx, dy, dz = 0, buttons = 0, dw = 0] = numbers;
  if (buttons < 0 || buttons > 31)
    throw bad('mouse buttons are a sum of 1 left, 2 right, 4 middle, 8 back, 16 forward');
  return { verb: 'mouse', dx, dy, dz, buttons, dw };
}

/** Sides of what an EDID can name and the adapter's memory holds. */
const LEAST_SIDE = 200;
const MOST_WIDTH = 2560;
const MOST_HEIGHT = 1600;

const lastMonitor = MAX_MONITORS - 1;
const numberOf = (word: string | undefined): number =>
  word !== undefined && /^\d{1,5}$/.test(word) ? Number(word) : Number.NaN;

/** As `VBoxManage controlvm setvideomodehint` has it. */
function parseModeHint(words: readonly string[]): MonitorCommand {
  const [widthWord, heightWord, depth = '32', monitorWord = '0', ...placed] = words;
  const [width, height, monitor] = [numberOf(widthWord), numberOf(heightWord), numberOf(monitorWord)];
  const fits = LEAST_SIDE <= width && width <= MOST_WIDTH && LEAST_SIDE <= height && height <= MOST_HEIGHT;
  if (!fits || depth !== '32') {
    throw bad(`setvideomodehint takes a width and a height, up to ${MOST_WIDTH} and ${MOST_HEIGHT}`);
  }
  if (!(monitor <= lastMonitor)) throw bad(`setvideomodehint takes a monitor from 0 to ${lastMonitor}`);
  const isSwitch = placed.length === 1 && (placed[0] === 'yes' || placed[0] === 'no');
  const [x, y] = placed.map((word) => numberOf(word));
  if (placed.length > 0 && !isSwitch && (placed.length !== 2 || Number.isNaN(x) || Number.isNaN(y))) {
    throw bad('setvideomodehint takes yes, no, or two coordinates behind the monitor');
  }
  const hint = { monitor, width, height, enabled: placed[0] !== 'no' };
  return { verb: 'setvideomodehint', hint: placed.length === 2 ? { ...hint, origin: { x, y } } : hint };
}

function parseScreenshot(text: string): MonitorCommand {
  const [, path, monitor] = /^(.+?)(?:\s+(\d))?$/.exec(text) ?? [];
  if (path === undefined) throw bad('screenshotpng takes the name of a file, then a monitor');
  if (Number(monitor ?? 0) > lastMonitor) throw bad(`screenshotpng takes a monitor from 0 to ${lastMonitor}`);
  return { verb: 'screenshotpng', path: unquoted(path), monitor: Number(monitor ?? 0) };
}

/** Quotation marks around a whole name are not part of it. */
function unquoted(text: string): string {
  const quote = text[0];
  const isQuoted = text.length >= 2 && (quote === '"' || quote === "'") && text.endsWith(quote);
  return isQuoted ? text.slice(1, -1) : text;
}

const ESCAPE_KEY = [0x01, 0x81];

function textKeys(text: string): number[][] {
  if (text === '') throw bad('keyboardputstring takes a text');
  return text.split(/(\\.)/).flatMap((part) => {
    switch (part) {
      case '\\n':
        return textScancodes('\n');
      case '\\t':
        return textScancodes('\t');
      case '\\e':
        return [ESCAPE_KEY];
      case '\\\\':
        return textScancodes('\\');
      default:
        return textScancodes(part);
    }
  });
}
