// Session links: `/relay/session`. A host opens a session and makes links; whoever has one watches, and types if it says so.

import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { CodedError } from '#base/errors.ts';
import {
  type BodyOf,
  decodeMessage,
  MAX_MESSAGE_BYTES,
  MAX_VIEWER_MESSAGE_BYTES,
  STREAM_VERSION,
} from '#display/stream/messages.ts';
import type { JoinTokens } from '../relay/join-tokens.ts';
import { type MetricFamily, metric } from '../relay/metrics.ts';
import type { ConnectionHandler, RelayConnection, RelayService } from '../relay/service.ts';
import { isSameKey, type Viewer } from './people.ts';
import { Pace, Session } from './session.ts';

const MOST_SESSIONS = 256;
const TICK_MS = 1000;
const TICKS_A_KEEP_ALIVE = 15;
const ID_BYTES = 12;

/** `rights.session` of a token: of a link, or of somebody who may share machines. */
const rightsSchema = v.union([
  v.object({ host: v.literal(true) }),
  v.object({ session: v.pipe(v.string(), v.maxLength(64)), link: v.pipe(v.string(), v.maxLength(64)) }),
]);

export class SessionService implements RelayService {
  readonly name = 'session';
  readonly mostMessageBytes: number = MAX_MESSAGE_BYTES;
  /** One picture of the largest screen and some more: acknowledgements keep it far below. */
  readonly mostBufferedBytes: number = MAX_MESSAGE_BYTES + (4 << 20);
  readonly #tokens: JoinTokens;
  readonly #sessions = new Map<string, Session>();
  readonly #timer: NodeJS.Timeout;
  #ticks = 0;

  constructor(tokens: JoinTokens) {
    this.#tokens = tokens;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  ownPageRights(): { readonly host: true } {
    return { host: true };
  }

  connect(connection: RelayConnection): ConnectionHandler {
    const rights = v.safeParse(rightsSchema, connection.claims.rights[this.name]);
    if (!rights.success) throw new CodedError('no-rights', 'the token grants nothing here; get a new one');
    if ('host' in rights.output) return this.#host(connection);
    const { session: id, link } = rights.output;
    const session = this.#sessions.get(id);
    if (!session) throw new CodedError('ended', 'this session is over; ask for a new link');
    session.links.check(link);
    return viewerHandler(connection, session, link);
  }

  metrics(): readonly MetricFamily[] {
    const sessions = [...this.#sessions.values()];
    const sum = (of: (session: Session) => number): number => sessions.reduce((total, one) => total + of(one), 0);
    return [
      metric('gauge', 'tabbox_session_open', 'Machines that are shared.', sessions.length),
      metric(
        'gauge',
        'tabbox_session_viewers',
        'People who watch.',
        sum(({ viewers }) => viewers),
      ),
      metric(
        'gauge',
        'tabbox_session_updates',
        'Updates sent to viewers.',
        sum(({ counts }) => counts.sent),
      ),
      metric(
        'gauge',
        'tabbox_session_skipped',
        'Updates viewers were too slow for.',
        sum(({ counts }) => counts.skipped),
      ),
    ];
  }

  close(): void {
    clearInterval(this.#timer);
    for (const session of this.#sessions.values()) session.end('ended: the relay ends');
  }

  #host(connection: RelayConnection): ConnectionHandler {
    let session: Session | undefined;
    return {
      message: (data) => {
        if (session) return session.fromHost(binary(data));
        const opening = first(decodeMessage(binary(data), MAX_VIEWER_MESSAGE_BYTES), 'host');
        session = this.#sessionOf(opening.key);
        session.hostCame(connection, opening);
      },
      closed: () => session?.hostLeft(connection),
    };
  }

  /** The session of a host's key, or a new one. @throws CodedError<'busy'> */
  #sessionOf(given: string): Session {
    const [id, key] = given.split('.', 2);
    const known = this.#sessions.get(id ?? '');
    if (known && isSameKey(key ?? '', known.key)) return known;
    if (this.#sessions.size >= MOST_SESSIONS) {
      throw new CodedError('busy', `${MOST_SESSIONS} machines are shared already; try again later`);
    }
    const session = new Session({
      ...{ id: randomBytes(ID_BYTES).toString('base64url'), tokens: this.#tokens },
      onEnd: (ended) => this.#sessions.delete(ended.id),
    });
    this.#sessions.set(session.id, session);
    return session;
  }

  #tick(): void {
    const isTime = ++this.#ticks % TICKS_A_KEEP_ALIVE === 0;
    const now = Date.now();
    for (const session of this.#sessions.values()) {
      session.tick(now);
      if (isTime) session.keepAlive();
    }
  }
}

function viewerHandler(connection: RelayConnection, session: Session, link: string): ConnectionHandler {
  let viewer: Viewer | undefined;
  const pace = new Pace();
  return {
    message: (data) => {
      pace.spend();
      if (viewer) return session.fromViewer(viewer, binary(data));
      const opening = first(decodeMessage(binary(data), MAX_VIEWER_MESSAGE_BYTES), 'join');
      viewer = session.viewerCame(connection, link, opening);
    },
    closed: () => viewer && session.viewerLeft(viewer),
  };
}

function binary(data: Uint8Array | string): Uint8Array {
  if (typeof data === 'string') throw new CodedError('protocol', 'the display stream has no text messages');
  return data;
}

/** @throws CodedError it is another message, or of another version */
function first<N extends 'host' | 'join'>(message: ReturnType<typeof decodeMessage>, name: N): BodyOf<N> {
  if (message.name !== name) throw new CodedError('protocol', `the first message is ${name}, not ${message.name}`);
  const body = message.body as BodyOf<N>;
  if (body.version === STREAM_VERSION) return body;
  throw new CodedError(
    'version',
    `this relay speaks version ${STREAM_VERSION} of the stream, not ${body.version}: reload`,
  );
}
