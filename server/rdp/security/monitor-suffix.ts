/**
 * Which screen a client asks for, in its domain or user name: `DOMAIN@2`.
 * Source: VirtualBox User Manual, "Multiple Connections to the VRDP Server" (each monitor by its number).
 */

export interface NamedScreen {
  /** Without the suffix. */
  readonly name: string;
  /** From 1; undefined: none was asked for. `@0` and `@1` are both the first. */
  readonly screen: number | undefined;
}

/** Takes the last `@digits` off. */
export function takeScreen(text: string): NamedScreen {
  const [, name, digits] = /^(.*)@(\d{1,4})$/s.exec(text) ?? [];
  if (name === undefined) return { name: text, screen: undefined };
  return { name, screen: Math.max(1, Number(digits)) };
}
