/** The RDP server of one machine: listens, lets clients in, and gives each a session on the machine's desktop. */
import { randomBytes } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSecureContext, TLSSocket } from 'node:tls';
import { CodedError, unreachable } from '#base/errors.ts';
import type { Desktop } from '#display/desktop/desktop.ts';
import type { ClipboardWays } from './channels/clipboard.ts';
import { ClientSession, type DisabledFeatures } from './client-session.ts';
import { ERROR_INFO } from './pdu/share.ts';
import type { TlsIdentity } from './security/certificate.ts';
import { LoginThrottle } from './security/login-throttle.ts';
import { generateStandardKey, type StandardKey } from './security/proprietary-certificate.ts';
import { ReconnectCookies } from './security/reconnect-cookies.ts';
import type { PasswordCheck } from './security/users.ts';
import { type Credentials, type Refusal, Refused, type SecurityPolicy } from './sequence/phase.ts';

export interface GatewaySettings {
  readonly address: string;
  /** Tried in turn; 0: any that is free. */
  readonly ports: readonly number[];
  readonly policy: SecurityPolicy;
  readonly identity: TlsIdentity;
  readonly check: PasswordCheck;
  /** Several clients at once. */
  readonly multiple: boolean;
  /** A second client takes over from the first instead of being refused. */
  readonly reuse: boolean;
  readonly disabled: DisabledFeatures;
  /** Which ways text may go between the clipboards of clients and of others. */
  readonly clipboard: ClipboardWays;
  /** Quality of videos, 10 to 100; undefined: they are shown like everything else. */
  readonly videoQuality: number | undefined;
  /** Something an operator may want to know; never a secret. */
  readonly log: (text: string) => void;
}

/** Connections that are not in yet, or no longer. */
const MAX_STRANGERS = 32;
/** Password checks at a time: each may be a process, and goes on when who wants in has left. */
const MAX_CHECKS = 32;
const LOGON_TIMEOUT_MS = 30_000;
/** What a password check may take. */
const CHECK_TIMEOUT_MS = 20_000;
/** Time for the last bytes to leave before the socket is closed. */
const LINGER_MS = 1000;
/** Bytes under way to a client before it has to catch up. */
const HIGH_WATER_BYTES = 512 * 1024;

interface Client {
  readonly id: number;
  userName: string;
  readonly session: ClientSession;
  readonly address: string;
  isActive: boolean;
  /** Aborted when it is gone: nothing waits for it any more. */
  readonly gone: AbortController;
}

const LEFT: Refusal = { errorInfo: 0, why: 'the client left' };

export class RdpGateway {
  readonly #desktop: Desktop;
  readonly #settings: GatewaySettings;
  /** Where standard RDP security is allowed; making one takes time. */
  readonly #standardKey: StandardKey | undefined;
  readonly #throttle = new LoginThrottle(() => performance.now());
  readonly #clients = new Set<Client>();
  readonly #cookies = new ReconnectCookies<number>(randomBytes, () => performance.now());
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isClosed = false;
  #lastId = 0;
  #checks = 0;

  private constructor(desktop: Desktop, settings: GatewaySettings, standardKey: StandardKey | undefined) {
    this.#desktop = desktop;
    this.#settings = settings;
    this.#standardKey = standardKey;
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Listens on the first port that is free. @throws CodedError<'no-port'> */
  static async open(desktop: Desktop, settings: GatewaySettings): Promise<RdpGateway> {
    const { address, ports, policy } = settings;
    const standardKey = policy.method === 'tls' ? undefined : await generateStandardKey();
    const gateway = new RdpGateway(desktop, settings, standardKey);
    let why = '';
    for (const port of ports) {
      const failure = await gateway.#listen(port);
      if (!failure) return gateway;
      why = failure.message;
    }
    throw new CodedError('no-port', `no port of ${ports.join(', ')} can be had at ${address}: ${why}; name others`);
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  /** As it is typed into a client. */
  get address(): string {
    const { address } = this.#settings;
    return address.includes(':') ? `[${address}]:${this.port}` : `${address}:${this.port}`;
  }

  /** Clients that see the screen. */
  get activeCount(): number {
    return [...this.#clients].filter(({ isActive }) => isActive).length;
  }

  /** Connections, whether they have got in or not. */
  get clientCount(): number {
    return this.#clients.size;
  }

  close(): void {
    this.#isClosed = true;
    for (const { session } of this.#clients) {
      session.connection.disconnect(ERROR_INFO.rpcInitiatedDisconnect, 'the machine has ended');
    }
    this.#server.close();
    for (const socket of this.#sockets) socket.destroySoon();
  }

  #listen(port: number): Promise<Error | undefined> {
    return new Promise((resolve) => {
      const server = this.#server;
      const done = (error?: Error): void => {
        server.off('error', done);
        server.off('listening', ready);
        resolve(error);
      };
      const ready = (): void => done();
      server.once('error', done);
      server.once('listening', ready);
      server.listen(port, this.#settings.address);
    });
  }

  #accept(raw: Socket): void {
    if (this.#isClosed || this.#sockets.size - this.activeCount >= MAX_STRANGERS) {
      raw.destroy();
      return;
    }
    this.#sockets.add(raw);
    raw.once('close', () => this.#sockets.delete(raw));
    const address = raw.remoteAddress ?? '';
    const { policy, disabled, clipboard, videoQuality, log } = this.#settings;
    let socket: Socket = raw;
    let isEnding = false;
    let isLost = false;
    const lost = (): void => {
      isLost = true;
      session.lost();
    };
    const attach = (to: Socket): void => {
      socket = to;
      to.on('data', (bytes: Uint8Array) => session.receive(bytes));
      to.on('drain', () => session.onDrain());
      to.on('error', lost);
      to.on('close', lost);
    };
    let isCorked = false;
    /** A picture is many packets: what is sent in one go leaves in one. */
    const together = (): void => {
      if (isCorked) return;
      isCorked = true;
      const corked = socket;
      corked.cork();
      process.nextTick(() => {
        isCorked = false;
        corked.uncork();
      });
    };
    const session = new ClientSession({
      desktop: this.#desktop,
      ...{ policy, disabled, clipboard, videoQuality },
      nowMs: () => performance.now(),
      later: (ms, what) => {
        const timer = setTimeout(what, ms);
        return () => clearTimeout(timer);
      },
      standardKey: () => this.#standardKey ?? unreachable('the policy forbids standard security'),
      send: (bytes) => {
        if (!socket.destroyed && !isEnding) {
          together();
          socket.write(bytes);
        }
        return socket.writableLength < HIGH_WATER_BYTES;
      },
      startTls: () => {
        raw.removeAllListeners('data');
        raw.removeAllListeners('drain');
        attach(this.#secured(raw));
      },
      random: (count) => randomBytes(count),
      authenticate: (who) => this.#authenticate(who, client),
      slowDown: (userName) => this.#slowDown(client, userName),
      onWrongPassword: () => this.#throttle.failed(address),
      onActive: () => {
        client.isActive = true;
        clearTimeout(deadline);
        log(`RDP: ${address} is connected`);
        return this.#cookies.issue(client.userName, client.id);
      },
      note: (text) => log(`RDP: ${address}: ${text}`),
      onEnd: (why) => {
        clearTimeout(deadline);
        isEnding = true;
        this.#clients.delete(client);
        client.gone.abort();
        // Only who did not mean to go may come back without a password.
        if (!isLost) this.#cookies.revoke(client.id);
        log(`RDP: ${address} is gone: ${why}`);
        socket.end();
        if (raw.destroyed) return;
        const lingering = setTimeout(() => raw.destroy(), LINGER_MS).unref();
        raw.once('close', () => clearTimeout(lingering));
      },
    });
    const gone = new AbortController();
    const client: Client = { id: ++this.#lastId, session, address, userName: '', isActive: false, gone };
    this.#clients.add(client);
    const deadline = setTimeout(() => session.connection.disconnect(0, 'it took too long to log on'), LOGON_TIMEOUT_MS);
    attach(raw);
  }

  #secured(raw: Socket): TLSSocket {
    const { certificate, privateKey, authority } = this.#settings.identity;
    const chain = authority === undefined ? certificate : `${certificate}\n${authority}`;
    const secureContext = createSecureContext({ cert: chain, key: privateKey, minVersion: 'TLSv1.2' });
    return new TLSSocket(raw, { isServer: true, secureContext });
  }

  /** @throws Refused when the client does not wait for it */
  async #slowDown({ address, gone }: Client, userName: string): Promise<void> {
    const keys = userName === '' ? [address] : [address, userName.toLowerCase()];
    const waitMs = Math.max(...keys.map((key) => this.#throttle.waitMs(key)));
    if (waitMs > 0) await sleep(waitMs, undefined, { signal: gone.signal }).catch(() => {});
    if (gone.signal.aborted) throw new Refused(LEFT);
  }

  async #authenticate(who: Credentials, client: Client): Promise<Refusal | undefined> {
    const { check, log } = this.#settings;
    client.userName = who.userName;
    if (this.#comesBack(who, client)) return undefined;
    const keys = [client.address, who.userName.toLowerCase()];
    await this.#slowDown(client, who.userName);
    if (this.#checks >= MAX_CHECKS) {
      return { errorInfo: ERROR_INFO.serverDeniedConnection, why: 'too many are being asked for their passwords' };
    }
    this.#checks++;
    const isRight = await inTime(check(who), CHECK_TIMEOUT_MS);
    this.#checks--;
    if (!isRight) {
      for (const key of keys) this.#throttle.failed(key);
      log(`RDP: ${client.address} gave a wrong name or password`);
      return { errorInfo: ERROR_INFO.serverInsufficientPrivileges, why: 'wrong user name or password' };
    }
    for (const key of keys) this.#throttle.succeeded(key);
    // Nobody has to go for a client that is not there.
    return client.gone.signal.aborted ? LEFT : this.#makeRoom(client);
  }

  /** A client whose connection broke: what is left of it makes room, and it needs neither password nor a free place. */
  #comesBack({ reconnect, userName }: Credentials, client: Client): boolean {
    const before = reconnect && this.#cookies.redeem(reconnect.proof, reconnect.clientRandom, userName);
    if (before === undefined) return false;
    const others = [...this.#clients].filter((one) => one.id !== before && one !== client && one.isActive);
    // Its place may be somebody else's by now; then it is asked for a password like anybody.
    if (!this.#settings.multiple && others.length > 0) return false;
    for (const one of this.#clients) if (one.id === before) one.session.lost();
    this.#settings.log(`RDP: ${client.address} is back`);
    return true;
  }

  /** One client at a time, unless several are allowed. */
  #makeRoom(client: Client): Refusal | undefined {
    const { multiple, reuse } = this.#settings;
    const others = [...this.#clients].filter((one) => one !== client && one.isActive);
    if (multiple || others.length === 0) return undefined;
    if (!reuse) {
      return { errorInfo: ERROR_INFO.serverDeniedConnection, why: 'somebody else is connected' };
    }
    for (const { session } of others) {
      session.connection.disconnect(ERROR_INFO.disconnectedByOtherConnection, 'another client took over');
    }
    return undefined;
  }
}

/** No answer is a no. */
function inTime(answer: Promise<boolean>, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), ms);
    answer
      .catch(() => false)
      .then((value) => {
        clearTimeout(late);
        resolve(value);
      });
  });
}
