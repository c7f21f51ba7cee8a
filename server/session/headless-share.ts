// A machine without a page, shared through a relay: `tabbox run --share`.

import { WebSocket } from 'ws';
import type { Desktop } from '#display/desktop/desktop.ts';
import type { MonitorPlace } from '#display/raster/all-monitors.ts';
import { ShareHost, type ShareState } from '#display/sharing/share-host.ts';
import { ANY_NUMBER_OF_USES, HOST, type Role } from '#display/stream/messages.ts';
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';

export interface HeadlessShareParts {
  /** Address of the server whose relay it is. */
  readonly server: string;
  readonly token: () => Promise<string>;
  readonly machine: string;
  /** What the link allows. */
  readonly role: Role;
  /** Seconds; 0: until the machine ends. */
  readonly lifetime: number;
  /** How many people may come in; undefined: any number. */
  readonly uses: number | undefined;
  readonly desktop: Desktop;
  readonly fourByThree: () => boolean;
  /** Where monitors lie in the picture. */
  readonly places?: () => readonly MonitorPlace[];
  readonly keyboard: KeyboardInput;
  readonly mouse: MouseInput;
  readonly typeText: (text: string) => void;
  /** Puts a CD image into the guest's drive. @throws CodedError */
  readonly insertDisc: (image: Uint8Array, name: string) => Promise<void>;
  /** For the person who started it: the link, who comes and goes. */
  readonly say: (text: string) => void;
}

const MAY: Readonly<Record<Role, string>> = { view: 'watch', control: 'watch and type', owner: 'decide who types' };

/** Nobody watches silently: everybody who comes and goes is named. */
export class HeadlessShare {
  readonly #parts: HeadlessShareParts;
  readonly #host: ShareHost;
  #link: 'none' | 'asked for' | 'told' = 'none';
  #told = '';
  #here: ReadonlyMap<number, string> = new Map();

  constructor(parts: HeadlessShareParts) {
    this.#parts = parts;
    const { server, token, machine, desktop, fourByThree, places, keyboard, mouse, typeText, insertDisc } = parts;
    this.#host = new ShareHost({
      ...{ token, machine, name: 'Host', desktop, fourByThree, places, keyboard, mouse, typeText, insertDisc },
      url: new URL('relay/session', server).href.replace(/^http/, 'ws'),
      newSocket: (url, protocols) => new WebSocket(url, protocols) as unknown as globalThis.WebSocket,
      onState: (state) => this.#tell(state),
      onPointer: () => {},
    });
  }

  close(): void {
    this.#host.stop();
  }

  #tell({ connection, why, links, people }: ShareState): void {
    const { role, lifetime, uses, say, server } = this.#parts;
    if (connection === 'closed' && why !== this.#told) say(`not shared: ${why}`);
    if (connection === 'waiting' && why !== this.#told) say(`sharing waits for the relay: ${why}`);
    this.#told = why;
    if (connection !== 'open') return;
    // A roster comes first: then the session is open.
    if (people.length > 0 && this.#link === 'none') {
      this.#link = 'asked for';
      this.#host.makeLink({ label: 'Link', role, lifetime, uses: uses ?? ANY_NUMBER_OF_USES });
    }
    if (links.length > 0 && this.#link === 'asked for') {
      this.#link = 'told';
      say(`whoever opens this link may ${MAY[role]}: ${new URL(`#join=${links[0].token}`, server).href}`);
    }
    this.#meet(new Map(people.filter(({ id }) => id !== HOST).map(({ id, name }) => [id, name])));
  }

  #meet(people: ReadonlyMap<number, string>): void {
    for (const [id, name] of people) if (!this.#here.has(id)) this.#parts.say(`${name} watches`);
    for (const [id, name] of this.#here) if (!people.has(id)) this.#parts.say(`${name} has left`);
    this.#here = people;
  }
}
