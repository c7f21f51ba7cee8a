/**
 * A decoder for the AML that the tests expect, written from the specification's grammar and not from the writer.
 * Source: ACPI Specification 2.0, section 17.2. It throws on anything it does not know and on every length that does
 * not end exactly where its content ends.
 */
export type Term =
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'buffer'; readonly bytes: Uint8Array }
  | { readonly kind: 'package'; readonly elements: readonly Term[] }
  | { readonly kind: 'block'; readonly op: string; readonly path: string; readonly terms: readonly Term[] }
  | { readonly kind: 'name'; readonly path: string; readonly value: Term }
  | { readonly kind: 'op'; readonly op: string; readonly operands: readonly Term[] }
  | { readonly kind: 'method'; readonly path: string; readonly argumentCount: number; readonly terms: readonly Term[] }
  | {
      readonly kind: 'region';
      readonly path: string;
      readonly space: number;
      readonly offset: number;
      readonly bytes: number;
    }
  | { readonly kind: 'field'; readonly region: string; readonly units: readonly (readonly [string, number])[] };

const OPERANDS: Record<number, readonly [string, number]> = {
  112: ['Store', 2],
  123: ['And', 3],
  125: ['Or', 3],
  138: ['CreateDWordField', 3],
  147: ['LEqual', 2],
  164: ['Return', 1],
};

export class AmlDecoder {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  all(): Term[] {
    return this.#until(this.#bytes.length);
  }

  #until(end: number): Term[] {
    const terms: Term[] = [];
    while (this.#at < end) terms.push(this.#term());
    if (this.#at !== end) throw new Error(`a term ends at ${this.#at}, its parent at ${end}`);
    return terms;
  }

  #byte(): number {
    if (this.#at >= this.#bytes.length) throw new Error('past the end');
    return this.#bytes[this.#at++];
  }

  #little(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) value += this.#byte() * 256 ** i;
    return value;
  }

  /** @returns where the package ends */
  #packageEnd(): number {
    const start = this.#at;
    return start + this.#packageValue();
  }

  #packageValue(): number {
    const lead = this.#byte();
    const extra = lead >> 6;
    if (extra === 0) return lead & 0x3f;
    if (lead & 0x30) throw new Error('reserved bits in a package length');
    return (lead & 0x0f) + this.#little(extra) * 16;
  }

  #segment(): string {
    const text = String.fromCharCode(this.#byte(), this.#byte(), this.#byte(), this.#byte());
    if (!/^[A-Z_][A-Z0-9_]{3}$/.test(text)) throw new Error(`bad name segment ${text}`);
    return text;
  }

  #path(): string {
    let prefix = '';
    while (this.#bytes[this.#at] === 0x5c || this.#bytes[this.#at] === 0x5e)
      prefix += String.fromCharCode(this.#byte());
    const lead = this.#bytes[this.#at];
    let count = 1;
    if (lead === 0) count = 0;
    if (lead === 0x2e) count = 2;
    if (lead === 0x2f) count = this.#bytes[this.#at + 1];
    if (lead === 0 || lead === 0x2e) this.#at += 1;
    if (lead === 0x2f) this.#at += 2;
    return prefix + Array.from({ length: count }, () => this.#segment()).join('.');
  }

  #term(): Term {
    const op = this.#bytes[this.#at];
    if (op === 0x5c || op === 0x5e || op === 0x5f || op === 0x2e || op === 0x2f || (op >= 0x41 && op <= 0x5a)) {
      return { kind: 'path', path: this.#path() };
    }
    this.#at++;
    if (op >= 0x60 && op <= 0x67) return { kind: 'variable', name: `Local${op - 0x60}` };
    if (op >= 0x68 && op <= 0x6e) return { kind: 'variable', name: `Arg${op - 0x68}` };
    const known = OPERANDS[op];
    if (known) return { kind: 'op', op: known[0], operands: Array.from({ length: known[1] }, () => this.#term()) };
    switch (op) {
      case 0x00:
      case 0x01:
        return { kind: 'integer', value: op };
      case 0x0a:
        return { kind: 'integer', value: this.#little(1) };
      case 0x0b:
        return { kind: 'integer', value: this.#little(2) };
      case 0x0c:
        return { kind: 'integer', value: this.#little(4) };
      case 0x0d:
        return this.#string();
      case 0x08:
        return { kind: 'name', path: this.#path(), value: this.#term() };
      case 0x10:
        return this.#block('Scope');
      case 0x11:
        return this.#buffer();
      case 0x12:
        return this.#package();
      case 0x14:
        return this.#method();
      case 0xa0:
        return this.#block('If');
      case 0xa1:
        return this.#block('Else');
      case 0x5b:
        return this.#extended();
      default:
        throw new Error(`unknown opcode ${op.toString(16)} at ${this.#at - 1}`);
    }
  }

  #string(): Term {
    let value = '';
    for (let c = this.#byte(); c !== 0; c = this.#byte()) value += String.fromCharCode(c);
    return { kind: 'string', value };
  }

  #block(op: string): Term {
    const end = this.#packageEnd();
    if (op === 'If') {
      const condition = this.#term();
      return { kind: 'block', op, path: '', terms: [condition, ...this.#until(end)] };
    }
    const path = op === 'Else' ? '' : this.#path();
    return { kind: 'block', op, path, terms: this.#until(end) };
  }

  #buffer(): Term {
    const end = this.#packageEnd();
    const size = this.#term();
    if (size.kind !== 'integer' || size.value !== end - this.#at) throw new Error('buffer size is not its content');
    const bytes = this.#bytes.slice(this.#at, end);
    this.#at = end;
    return { kind: 'buffer', bytes };
  }

  #package(): Term {
    const end = this.#packageEnd();
    const count = this.#byte();
    const elements = this.#until(end);
    if (elements.length !== count) throw new Error(`package says ${count}, has ${elements.length}`);
    return { kind: 'package', elements };
  }

  #method(): Term {
    const end = this.#packageEnd();
    const path = this.#path();
    const argumentCount = this.#byte() & 7;
    return { kind: 'method', path, argumentCount, terms: this.#until(end) };
  }

  #extended(): Term {
    const op = this.#byte();
    switch (op) {
      case 0x80: {
        const path = this.#path();
        const space = this.#byte();
        const [offset, bytes] = [this.#term(), this.#term()];
        if (offset.kind !== 'integer' || bytes.kind !== 'integer') throw new Error('region is not constant');
        return { kind: 'region', path, space, offset: offset.value, bytes: bytes.value };
      }
      case 0x81: {
        const end = this.#packageEnd();
        const region = this.#path();
        this.#byte();
        const units: [string, number][] = [];
        while (this.#at < end) {
          const skip = this.#bytes[this.#at] === 0;
          if (skip) this.#at++;
          units.push([skip ? '' : this.#segment(), this.#packageValue()]);
        }
        if (this.#at !== end) throw new Error('field list runs over');
        return { kind: 'field', region, units };
      }
      case 0x82:
        return this.#block('Device');
      case 0x83: {
        const end = this.#packageEnd();
        const path = this.#path();
        this.#at += 6;
        return { kind: 'block', op: 'Processor', path, terms: this.#until(end) };
      }
      default:
        throw new Error(`unknown extended opcode ${op.toString(16)}`);
    }
  }
}

/** Paths of everything named, from the root. */
export function namespaceOf(terms: readonly Term[], within = '\\'): Map<string, Term> {
  const found = new Map<string, Term>();
  const join = (path: string): string =>
    path.startsWith('\\') ? path : within === '\\' ? `\\${path}` : `${within}.${path}`;
  for (const term of terms) {
    if (term.kind === 'name' || term.kind === 'method' || term.kind === 'region') found.set(join(term.path), term);
    if (term.kind === 'field') for (const [unit] of term.units) if (unit) found.set(join(unit), term);
    if (term.kind === 'block' && (term.op === 'Scope' || term.op === 'Device' || term.op === 'Processor')) {
      if (term.op !== 'Scope') found.set(join(term.path), term);
      for (const [path, inner] of namespaceOf(term.terms, join(term.path))) {
        if (found.has(path)) throw new Error(`${path} is defined twice`);
        found.set(path, inner);
      }
    }
  }
  return found;
}
