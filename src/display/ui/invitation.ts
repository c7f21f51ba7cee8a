/** Links to a shared machine, and what this browser remembers about the person who opens one. */

const PREFIX = '#join=';
const NAME = 'tabbox.name';
const ADDRESS = 'tabbox.address';

/** Whether a server's address means something on this computer only. */
export const isLoopback = (server: string): boolean =>
  /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(server).hostname);

/** Where others reach this server; remembered, since a page on the server's own computer cannot know it. */
export const publicAddress = (server: string): string =>
  (isLoopback(server) && read(() => localStorage, ADDRESS)) || new URL(server).origin;

/** @returns false: it is no address of a web server */
export function setPublicAddress(text: string): boolean {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) return false;
  write(() => localStorage, ADDRESS, new URL(text).origin);
  return true;
}

/**
 * The address that lets others in. The token is in the fragment, which browsers send to no server.
 * @param server the relay's, whose path it is
 * @param origin by which others reach it
 */
export function linkTo(token: string, server: string, origin: string): string {
  const address = new URL(new URL(server).pathname, origin);
  address.hash = `${PREFIX}${token}`;
  return address.href;
}

/** @returns the token of a link; undefined when the address is none */
export const invitationOf = (hash: string): string | undefined =>
  hash.startsWith(PREFIX) ? hash.slice(PREFIX.length) : undefined;

export const rememberedName = (): string => read(() => localStorage, NAME);

export const rememberName = (name: string): void => write(() => localStorage, NAME, name.trim());

/** For as long as the tab lasts: with it somebody comes back as the same person. */
export const rememberedKey = (token: string): string => read(() => sessionStorage, `tabbox.key.${token}`);

export const rememberKey = (token: string, key: string): void =>
  write(() => sessionStorage, `tabbox.key.${token}`, key);

/** Browsers may refuse storage altogether; then nothing is remembered. */
function read(storage: () => Storage, name: string): string {
  try {
    return storage().getItem(name) ?? '';
  } catch {
    return '';
  }
}

function write(storage: () => Storage, name: string, value: string): void {
  try {
    storage().setItem(name, value);
  } catch {
    // Not remembered.
  }
}
