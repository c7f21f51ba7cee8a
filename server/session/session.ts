// One shared machine: its host, its links and the people who watch.

import { CodedError } from '#base/errors.ts';
import {
  type BodyOf,
  decodeMessage,
  encodeMessage,
  HOST,
  MAX_MESSAGE_BYTES,
  MAX_VIEWER_MESSAGE_BYTES,
  type Message,
  NOBODY,
  RELAY_VERSION,
  type SoundForm,
  VIDEO_FORMS,
} from '#display/stream/messages.ts';
import { PictureFan, type PictureFeed } from '#display/stream/picture-fan.ts';
import { NO_VIDEO, olderForms, sayVideoForms, videoForms } from '#display/stream/video-forms.ts';
import type { JoinTokens } from '../relay/join-tokens.ts';
import { CLOSE, type RelayConnection } from '../relay/service.ts';
import { cleanName, newKey, People, personOf, type Viewer } from './people.ts';
import { SessionLinks } from './session-links.ts';

export interface SessionParts {
  readonly id: string;
  readonly tokens: JoinTokens;
  readonly onEnd: (session: Session) => void;
}

/** How long viewers wait for a host whose network went away. */
const HOST_PATIENCE_MS = 5 * 60_000;
/** Pointers of others are told this often, at most. */
const POINTER_MS = 50;
/** A peer that lags this far is not told where pointers are. */
const MOST_BUFFERED_FOR_POINTERS = 64 << 10;
/** A peer that lags this far gets no sound until it has caught up: what comes late is of no use. */
const MOST_BUFFERED_FOR_SOUND = 128 << 10;
/** Messages a viewer may send at once, and a second. */
const BURST = 400;
const MESSAGES_A_SECOND = 400;

/** The host is asked for a key picture that often, at most. */
const KEY_MS = 250;
const NO_SOUND: BodyOf<'soundForms'> = { pcm: false, opus: false };
const FREE: BodyOf<'lease'> = { mode: 'share', holder: NOBODY, epoch: 0, asking: [] };

export class Session {
  readonly id: string;
  /** With it the host comes back. */
  readonly key: string = newKey();
  readonly links: SessionLinks;
  readonly #parts: SessionParts;
  readonly #viewers = new Map<number, Viewer>();
  readonly #people = new People();
  readonly #fan: PictureFan;
  readonly #pointers = new Map<number, BodyOf<'pointer'>>();
  #host: RelayConnection | undefined;
  #hostName = '';
  #machine = '';
  #hostLeftAt: number | undefined;
  #lease: BodyOf<'lease'> = FREE;
  #monitors: BodyOf<'monitors'> = { places: [] };
  /** What the host can send, and what it was last asked for. */
  #hostForms = NO_SOUND;
  #neededForms = NO_SOUND;
  /** What everybody here can show. */
  #shownForms = NO_VIDEO;
  /** 0 for a host that has not said `videoCoders`. */
  #hostVersion = 0;
  #keyAskedAt = 0;
  #pointerTimer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.id = parts.id;
    this.links = new SessionLinks(parts.id, parts.tokens);
    this.#fan = new PictureFan({
      refresh: (since) => this.#host?.send(encodeMessage('refresh', { since })),
      wantKey: () => this.#askForKey(),
    });
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  get counts(): { readonly sent: number; readonly skipped: number } {
    return this.#fan.counts;
  }

  // The host.

  /** The host opens the session, or comes back; an earlier connection of its is ended. */
  hostCame(connection: RelayConnection, { machine, name }: BodyOf<'host'>): void {
    const before = this.#host;
    this.#host = connection;
    this.#hostLeftAt = undefined;
    this.#machine = cleanName(machine, 'Machine');
    this.#hostName = cleanName(name, 'Host');
    before?.close(CLOSE.rights, 'elsewhere: the machine is shared from another place now');
    const welcome = { version: RELAY_VERSION, participant: HOST, role: 'owner', machine: this.#machine } as const;
    connection.send(encodeMessage('welcome', { ...welcome, key: `${this.id}.${this.key}` }));
    this.#tellRoster();
    this.#tellLinks();
    this.#fan.hostIsNew();
    this.#hostForms = NO_SOUND;
    this.#neededForms = NO_SOUND;
    this.#shownForms = NO_VIDEO;
    this.#hostVersion = 0;
    this.#askForVideo();
  }

  hostLeft(connection: RelayConnection): void {
    if (this.#host !== connection || this.#isOver) return;
    this.#host = undefined;
    this.#hostLeftAt = Date.now();
    this.#tellRoster();
  }

  /** @throws CodedError the host sent what it may not */
  fromHost(bytes: Uint8Array): void {
    const message = decodeMessage(bytes, MAX_MESSAGE_BYTES);
    switch (message.name) {
      case 'update':
        this.#host?.send(encodeMessage('ack', { sequence: message.body.sequence }));
        this.#fan.update(bytes, message.body);
        return;
      case 'video':
        this.#host?.send(encodeMessage('videoAck', { number: message.body.number }));
        this.#fan.video(bytes, message.body);
        return;
      case 'videoEnd':
        this.#fan.videoEnd(bytes);
        return;
      case 'sound':
        this.#sound(message.body.form, bytes);
        return;
      case 'soundForms':
        this.#hostForms = message.body;
        this.#askForSound();
        return;
      case 'videoCoders':
        // What it can code is for it to choose from; that it says so tells how to tell it what others can show.
        this.#hostVersion = RELAY_VERSION;
        this.#tellVideo();
        return;
      case 'monitors':
        this.#monitors = message.body;
        for (const { connection } of this.#viewers.values()) connection.send(bytes);
        return;
      case 'lease':
        this.#lease = message.body;
        this.#toViewers(bytes);
        return;
      case 'pointer':
        this.#point({ ...message.body, participant: HOST });
        return;
      case 'makeLink':
        this.links.make(message.body).then(
          () => this.#tellLinks(),
          () => this.#tellLinks(),
        );
        return;
      case 'revokeLink':
        if (this.links.revoke(message.body.id))
          this.#dismissLink(message.body.id, 'link-revoked: the link was revoked');
        return;
      case 'dismiss':
        this.#dismiss(message.body.participant, 'dismissed: the host ended your visit');
        return;
      case 'signal':
      case 'discTaken':
        this.#viewers
          .get(message.body.participant)
          ?.connection.send(encodeMessage(message.name, { ...message.body, participant: HOST } as never));
        return;
      case 'clipboard':
        this.#copied(message.body.participant, bytes);
        return;
      case 'end':
        this.end('ended: the host stopped sharing');
        return;
      case 'keepAlive':
        return;
      default:
        throw new CodedError('protocol', `a host does not send ${message.name}`);
    }
  }

  // Viewers.

  /** Somebody comes in. @throws CodedError the link no longer allows it */
  viewerCame(connection: RelayConnection, link: string, { name, key, since }: BodyOf<'join'>): Viewer {
    // A connection may have waited for somebody's name.
    if (this.#isOver) throw new CodedError('ended', 'this session is over; ask for a new link');
    const { role } = this.links.check(link);
    if (!this.#people.returning(key, link)) this.links.use(link);
    const place = this.#people.enter(name, key, link);
    if (!place) throw new CodedError('full', 'so many people are here that nobody else can come in; try again later');
    const before = this.#viewers.get(place.id);
    if (before) this.#remove(before, CLOSE.rights, 'elsewhere: you came in again from another place');
    const welcome = { version: RELAY_VERSION, participant: place.id, role, machine: this.#machine, key: place.key };
    connection.send(encodeMessage('welcome', welcome));
    connection.send(encodeMessage('lease', this.#lease));
    connection.send(encodeMessage('monitors', this.#monitors));
    const viewer: Viewer = {
      id: place.id,
      name: place.name,
      role,
      link,
      connection,
      feed: undefined,
      plays: NO_SOUND,
      shows: undefined,
    };
    viewer.feed = this.#openFeed(viewer, since);
    this.#viewers.set(place.id, viewer);
    this.#tellRoster();
    this.#tellLinks();
    return viewer;
  }

  viewerLeft(viewer: Viewer): void {
    if (this.#viewers.get(viewer.id) !== viewer || this.#isOver) return;
    this.#viewers.delete(viewer.id);
    this.#people.leave(viewer.id);
    if (viewer.feed) this.#fan.close(viewer.feed);
    this.#askForSound();
    this.#askForVideo();
    this.#point({ participant: viewer.id, x: 0, y: 0, shown: false });
    this.#tellRoster();
    this.#tellLinks();
  }

  /** @throws CodedError the viewer sent what nobody may */
  fromViewer(viewer: Viewer, bytes: Uint8Array): void {
    const message = decodeMessage(bytes, MAX_VIEWER_MESSAGE_BYTES);
    switch (message.name) {
      case 'ack':
        viewer.feed?.ack(message.body.sequence);
        return;
      case 'videoAck':
        viewer.feed?.videoAck(message.body.number);
        return;
      case 'videoForms':
        viewer.shows = olderForms(message.body);
        this.#askForVideo();
        return;
      case 'videoCoders':
        viewer.shows = message.body.forms;
        this.#askForVideo();
        return;
      case 'videoKey':
        this.#askForKey();
        return;
      case 'refresh':
        if (viewer.feed) this.#fan.restart(viewer.feed);
        return;
      case 'direct':
        this.#direct(viewer, message.body);
        return;
      case 'soundForms':
        viewer.plays = message.body;
        this.#askForSound();
        return;
      case 'pointer':
        this.#point({ ...message.body, participant: viewer.id });
        return;
      case 'keys':
      case 'mouse':
      case 'typed':
      case 'disc':
      case 'discPart':
      case 'clipboard':
      case 'leaseAction':
        this.#input(viewer, message);
        return;
      case 'signal':
        this.#host?.send(encodeMessage('signal', { ...message.body, participant: viewer.id }));
        return;
      case 'dismiss':
        if (viewer.role === 'owner') this.#dismiss(message.body.participant, 'dismissed: an owner ended your visit');
        return;
      case 'keepAlive':
        return;
      default:
        throw new CodedError('protocol', `a viewer does not send ${message.name}`);
    }
  }

  /** Pictures come to a viewer from the host itself, or no longer. */
  #direct(viewer: Viewer, { on, since }: BodyOf<'direct'>): void {
    if (on && viewer.feed) {
      this.#fan.close(viewer.feed);
      viewer.feed = undefined;
    } else if (!on && !viewer.feed) {
      viewer.feed = this.#openFeed(viewer, since);
    }
  }

  /** Pictures of a form that a viewer has not said it can show could end its connection: it may be older than them. */
  #openFeed(viewer: Viewer, since: number): PictureFeed {
    return this.#fan.open(
      (message) => viewer.connection.send(message),
      since,
      (form) => viewer.shows?.[form] ?? false,
    );
  }

  // Sound.

  /** @returns undefined: none that both ends know, or none at all */
  #formFor({ plays }: Viewer): SoundForm | undefined {
    if (plays.opus && this.#hostForms.opus) return 'opus';
    return plays.pcm && this.#hostForms.pcm ? 'pcm' : undefined;
  }

  /** Tells the host what somebody here needs, when that has changed: it codes nothing for nobody. */
  #askForSound(): void {
    const forms = new Set([...this.#viewers.values()].map((viewer) => this.#formFor(viewer)));
    const needed = { pcm: forms.has('pcm'), opus: forms.has('opus') };
    if (needed.pcm === this.#neededForms.pcm && needed.opus === this.#neededForms.opus) return;
    this.#neededForms = needed;
    this.#host?.send(encodeMessage('soundForms', needed));
  }

  #sound(form: SoundForm, bytes: Uint8Array): void {
    for (const viewer of this.#viewers.values()) {
      if (this.#formFor(viewer) !== form || viewer.connection.bufferedBytes > MOST_BUFFERED_FOR_SOUND) continue;
      viewer.connection.send(bytes);
    }
  }

  // Video.

  /** Tells the host what everybody here can show, when that has changed. */
  #askForVideo(): void {
    const said = [...this.#viewers.values()].flatMap(({ shows }) => shows ?? []);
    const shown = videoForms((form) => said.length > 0 && said.every((shows) => shows[form]));
    if (VIDEO_FORMS.every((form) => shown[form] === this.#shownForms[form])) return;
    this.#shownForms = shown;
    this.#tellVideo();
  }

  #tellVideo(): void {
    this.#host?.send(sayVideoForms(this.#shownForms, this.#hostVersion));
  }

  #askForKey(): void {
    const now = performance.now();
    if (now - this.#keyAskedAt < KEY_MS) return;
    this.#keyAskedAt = now;
    this.#host?.send(encodeMessage('videoKey', {}));
  }

  /** What a role does not allow goes no further; the host checks it again. */
  #input(viewer: Viewer, message: Extract<Message, { name: InputName }>): void {
    if (viewer.role === 'view') return;
    const { mode, holder } = this.#lease;
    // Whoever announces a disc is told by the host why it is not taken.
    const isAlways = message.name === 'leaseAction' || message.name === 'disc';
    if (!isAlways && mode === 'lease' && holder !== viewer.id) return;
    this.#host?.send(encodeMessage(message.name, { ...message.body, participant: viewer.id } as never));
  }

  /** What is copied is for those who could paste it. */
  #copied(from: number, bytes: Uint8Array): void {
    for (const { id, role, connection } of this.#viewers.values()) {
      if (id !== from && role !== 'view') connection.send(bytes);
    }
  }

  // Everybody.

  /** Once a second: what is over by now. @returns false: the session itself is */
  tick(now: number): void {
    for (const link of this.links.expire()) this.#dismissLink(link, 'link-expired: the link has expired');
    if (this.#hostLeftAt !== undefined && now - this.#hostLeftAt > HOST_PATIENCE_MS) {
      this.end('ended: the host did not come back');
    }
  }

  keepAlive(): void {
    const bytes = encodeMessage('keepAlive', {});
    this.#host?.send(bytes);
    this.#toViewers(bytes);
  }

  /** @param reason `code: what happened` */
  end(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#pointerTimer);
    for (const { connection } of this.#viewers.values()) connection.close(CLOSE.rights, reason);
    this.#host?.close(CLOSE.rights, reason);
    this.#viewers.clear();
    this.#parts.onEnd(this);
  }

  #dismiss(id: number, reason: string): void {
    const viewer = this.#viewers.get(id);
    if (!viewer) return;
    this.#people.forget(id);
    this.#remove(viewer, CLOSE.rights, reason);
  }

  #dismissLink(link: string, reason: string): void {
    for (const viewer of this.#viewers.values()) if (viewer.link === link) this.#remove(viewer, CLOSE.rights, reason);
    this.#tellLinks();
  }

  #remove(viewer: Viewer, code: number, reason: string): void {
    this.viewerLeft(viewer);
    viewer.connection.close(code, reason);
  }

  #toViewers(bytes: Uint8Array): void {
    for (const { connection } of this.#viewers.values()) connection.send(bytes);
  }

  #tellRoster(): void {
    const host = this.#host ? [{ id: HOST, name: this.#hostName, role: 'owner' as const, link: '' }] : [];
    const rosterFor = (isTrusted: boolean): Uint8Array => {
      const people = [...this.#viewers.values()].map((viewer) => personOf(viewer, isTrusted));
      return encodeMessage('roster', { people: [...host, ...people] });
    };
    const [open, trusted] = [rosterFor(false), rosterFor(true)];
    this.#host?.send(trusted);
    for (const { connection, role } of this.#viewers.values()) connection.send(role === 'owner' ? trusted : open);
  }

  #tellLinks(): void {
    const peopleOf = (id: string): number => [...this.#viewers.values()].filter(({ link }) => link === id).length;
    this.#host?.send(encodeMessage('links', { links: this.links.list(peopleOf) }));
  }

  /** The last position of each, not every one on the way. */
  #point(pointer: BodyOf<'pointer'>): void {
    this.#pointers.set(pointer.participant, pointer);
    this.#pointerTimer ??= setTimeout(() => {
      this.#pointerTimer = undefined;
      for (const one of this.#pointers.values()) {
        const bytes = encodeMessage('pointer', one);
        if (one.participant !== HOST) this.#host?.send(bytes);
        for (const { id, connection } of this.#viewers.values()) {
          if (id !== one.participant && connection.bufferedBytes < MOST_BUFFERED_FOR_POINTERS) connection.send(bytes);
        }
      }
      this.#pointers.clear();
    }, POINTER_MS);
  }
}

type InputName = 'keys' | 'mouse' | 'typed' | 'disc' | 'discPart' | 'clipboard' | 'leaseAction';

/** How often somebody may speak: a bucket that fills as time goes by. */
export class Pace {
  #left = BURST;
  #at = Date.now();

  /** @throws CodedError<'too-fast'> */
  spend(): void {
    const now = Date.now();
    this.#left = Math.min(BURST, this.#left + ((now - this.#at) * MESSAGES_A_SECOND) / 1000);
    this.#at = now;
    if (--this.#left < 0) throw new CodedError('too-fast', 'messages come faster than anybody types or points');
  }
}
