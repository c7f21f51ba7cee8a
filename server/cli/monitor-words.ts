// Options behind a verb of the monitor, as VBoxManage takes them: --name VALUE or --name=VALUE, in quotation marks or not.

import { CodedError } from '#base/errors.ts';

export const bad = (message: string): CodedError<'bad-command'> => new CodedError('bad-command', message);

/** Words as a shell has them, quotation marks around them or their parts. */
export function splitWords(text: string): string[] {
  return [...text.matchAll(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g)].map(([word]) => word.replace(/["']/g, ''));
}

export interface OptionWord {
  readonly option: string;
  readonly value: string;
  /** `--option delete VALUE`. */
  readonly isDelete?: boolean;
}

export interface KnownOptions {
  readonly verb: string;
  readonly options: readonly string[];
  /** Of them, those without a value. */
  readonly flags: readonly string[];
  /** Of them, those that take `delete` before a value. */
  readonly deletable: readonly string[];
}

/** @throws CodedError<'bad-command'> */
export function parseOptions(texts: readonly string[], known: KnownOptions): OptionWord[] {
  const words: OptionWord[] = [];
  const left = [...texts];
  const next = (option: string): string => {
    const value = left.shift();
    if (value === undefined) throw bad(`${known.verb}: --${option} takes a value`);
    return value;
  };
  for (let text = left.shift(); text !== undefined; text = left.shift()) {
    const [, option, given] = /^--([\w-]+)(?:=(.*))?$/.exec(text) ?? [];
    if (option === undefined || !known.options.includes(option)) {
      throw bad(`${known.verb} takes ${known.options.map((one) => `--${one}`).join(', ')}, not '${text}'`);
    }
    if (known.flags.includes(option)) words.push({ option, value: '' });
    else if (given !== undefined) words.push({ option, value: given });
    else {
      const value = next(option);
      const isDelete = value === 'delete' && known.deletable.includes(option);
      words.push(isDelete ? { option, value: next(option), isDelete } : { option, value });
    }
  }
  return words;
}
