// A WebSocket to a relay, as the page has it. The relay's side, with the close codes: server/relay.

import type { Carrier, CarrierEvents, Refusal } from '../transports/relay-client.ts';

/** Where a relay is, and how to join it. */
export interface RelayAddress {
  /** Of its web server, with a slash at the end: http: or https:. */
  readonly url: string;
  /** Undefined: the relay is the page's own server, and gives one. */
  readonly token: string | undefined;
}

/** From here on a close code of the relay says that trying again is no use. */
const FIRST_FINAL_CODE = 4400;
const SUBPROTOCOLS = ['tabbox'] as const;
const NO_RELAY =
  'the server of this page has no relay, which networks need: serve the page with npm start, or use a link with a token';

class RefusedError extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

/** @param subject the machine */
export function openRelay(relay: RelayAddress, subject: string, events: CarrierEvents): Carrier {
  let socket: WebSocket | undefined;
  let isOver = false;
  const closed = (refusal?: Refusal): void => {
    if (isOver) return;
    isOver = true;
    events.closed(refusal);
  };
  const join = async (): Promise<void> => {
    const token = relay.token ?? (await fetchToken(relay.url, subject));
    if (isOver) return;
    const address = new URL('relay/net', relay.url);
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
    socket = new WebSocket(address, [...SUBPROTOCOLS, `token.${token}`]);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => events.opened();
    socket.onmessage = ({ data }: MessageEvent) => {
      if (data instanceof ArrayBuffer) events.message(new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }) => closed(code >= FIRST_FINAL_CODE ? refusalOf(reason) : undefined);
  };
  join().catch((error: unknown) => closed(error instanceof RefusedError ? error.refusal : undefined));
  return {
    send: (message) => {
      if (socket?.readyState === WebSocket.OPEN) socket.send(message as Uint8Array<ArrayBuffer>);
    },
    close: () => {
      isOver = true;
      socket?.close();
    },
  };
}

/** Reasons have the form `code: message`. */
function refusalOf(reason: string): Refusal {
  const colon = reason.indexOf(': ');
  return colon < 0
    ? { code: 'refused', message: reason || 'the relay refused the connection' }
    : { code: reason.slice(0, colon), message: reason.slice(colon + 2) };
}

/** @throws RefusedError when asking again is no use */
async function fetchToken(url: string, subject: string): Promise<string> {
  const response = await fetch(new URL('relay/token', url), { method: 'POST', body: JSON.stringify({ subject }) });
  const answer = (await response.json().catch(() => undefined)) as
    | { readonly token?: unknown; readonly error?: unknown; readonly message?: unknown }
    | undefined;
  if (response.ok && typeof answer?.token === 'string') return answer.token;
  if (response.status >= 500) throw new Error('the relay is not well');
  const { error, message } = answer ?? {};
  throw new RefusedError(
    typeof error === 'string' && typeof message === 'string'
      ? { code: error, message }
      : { code: 'no-relay', message: NO_RELAY },
  );
}
