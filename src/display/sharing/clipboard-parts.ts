/** Copied text in messages that viewers may send, and put together again. */
import { MAX_CLIPBOARD_TEXT } from '../desktop/shared-clipboard.ts';
import type { BodyOf } from '../stream/messages.ts';

type Part = BodyOf<'clipboard'>;
/** UTF-16 units of a part: at most three bytes each. */
const PART_UNITS = 5000;

/** @param participant who has copied it */
export function clipboardParts(text: string, participant: number): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + PART_UNITS);
    // Half of a pair is no character.
    if (end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end--;
    parts.push({ participant, isFirst: at === 0, isLast: end === text.length, text: text.slice(at, end) });
    at = end;
  }
  return parts;
}

export class ClipboardAssembler {
  readonly #unfinished = new Map<number, string>();

  /** @returns the text when this part completes it; parts of what is too long, or without a beginning, are dropped */
  take({ participant, isFirst, isLast, text }: Part): string | undefined {
    const before = isFirst ? '' : this.#unfinished.get(participant);
    this.#unfinished.delete(participant);
    if (before === undefined || before.length + text.length > MAX_CLIPBOARD_TEXT) return undefined;
    const all = before + text;
    if (isLast) return all;
    this.#unfinished.set(participant, all);
    return undefined;
  }

  leave(participant: number): void {
    this.#unfinished.delete(participant);
  }
}

/** A text that somebody has copied for all who may type. */
export interface Copied {
  readonly participant: number;
  readonly text: string;
}
