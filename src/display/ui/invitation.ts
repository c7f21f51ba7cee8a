/** Links to a shared machine, and what this browser remembers about the person who opens one. */

const PREFIX = '#join=';
const NAME = 'tabbox.name';

/** The address that lets others in. The token is in the fragment, which browsers send to no server. */
export function linkTo(token: string): string {
  const address = new URL(location.href);
  address.search = '';
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
