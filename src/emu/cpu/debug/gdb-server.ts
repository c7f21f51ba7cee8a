/**
 * A GDB remote stub as an engine: bytes in, bytes out, no socket and no clock.
 *
 * ```
 *             attach            c, s, vCont             breakpoint, step done, Ctrl-C
 * (nobody) ----------> halted -------------> running ---------------------------------> halted
 *             ^                                 |                                          |
 *             '---------------- D, k, the connection ends ---------------------------------'
 * ```
 *
 * Source: GDB manual, appendix E: E.2 (packets), E.3 (stop replies), E.4 (general queries), E.5 (architecture specifics).
 * Not modelled: several threads, multiprocess, file I/O, tracepoints, agent expressions, reverse execution.
 */

import type { StopReason } from './execution-control.ts';
import { encodePacket, fromHex, PacketReader, toHex } from './gdb-packets.ts';
import { REGISTERS_32, REGISTERS_64, type Register, registerBytes } from './registers.ts';
import { type Architecture, targetDescription } from './target-description.ts';

export type BreakKind = 'code' | 'write' | 'read' | 'access';

/** The machine as the stub needs it. Addresses: unsigned 32-bit, or canonical in 64-bit mode. */
export interface GdbTarget {
  readonly architecture: Architecture;
  readonly running: boolean;
  /** Stops the machine; its state can be looked at when this returns. */
  halt(): void;
  /** @param step one instruction; `stopped` is called after it */
  resume(step: boolean): void;
  readRegister(register: Register): Uint8Array;
  /** @returns false: it cannot be written */
  writeRegister(register: Register, bytes: Uint8Array): boolean;
  /** @returns as much as there is, from the front */
  readMemory(linear: number, byteCount: number): Uint8Array;
  writeMemory(linear: number, bytes: Uint8Array): boolean;
  /** @returns false: there can be none here */
  setBreak(kind: BreakKind, linear: number, byteCount: number): boolean;
  clearBreak(kind: BreakKind, linear: number, byteCount: number): boolean;
  /** The debugger goes away: nothing of it stays, and the machine runs on. */
  release(): void;
  /** The debugger wants the machine to end. */
  kill(): void;
  /** `monitor LINE`. @returns what to print */
  monitor(line: string): string;
}

const PACKET_BYTES = 0x4000;
const SIGNAL = { interrupt: 2, trap: 5, abort: 6 } as const;
const BREAK_KINDS: Readonly<Record<string, BreakKind>> = { 0: 'code', 1: 'code', 2: 'write', 3: 'read', 4: 'access' };
const WATCH_NAMES = { write: 'watch', read: 'rwatch', access: 'awatch' } as const;

export class GdbServer {
  readonly #target: GdbTarget;
  readonly #send: (bytes: Uint8Array) => void;
  #reader = new PacketReader();
  #registers: readonly Register[] = REGISTERS_32;
  #attached = false;
  #acknowledges = true;
  #lastSent = new Uint8Array(0);
  /** What `?` answers. */
  #stopReply = 'S05';

  /** @param send bytes for the debugger */
  constructor(target: GdbTarget, send: (bytes: Uint8Array) => void) {
    this.#target = target;
    this.#send = send;
  }

  /** A debugger has connected; the machine halts. */
  attach(): void {
    this.#reader = new PacketReader();
    this.#acknowledges = true;
    this.#attached = true;
    this.#registers = this.#target.architecture === 'i386' ? REGISTERS_32 : REGISTERS_64;
    this.#stopReply = stopText(SIGNAL.trap);
    this.#target.halt();
  }

  /** The connection has ended. */
  disconnect(): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#target.release();
  }

  receive(bytes: Uint8Array): void {
    for (const one of this.#reader.push(bytes)) {
      if (!this.#attached) return;
      switch (one.kind) {
        case 'packet':
          if (this.#acknowledges) this.#send(ACK);
          this.#execute(textOf(one.data), one.data);
          break;
        case 'damaged':
          if (this.#acknowledges) this.#send(NACK);
          break;
        case 'nack':
          this.#send(this.#lastSent);
          break;
        case 'interrupt':
          if (!this.#target.running) break;
          this.#target.halt();
          this.stopped({ kind: 'interrupted' });
          break;
        case 'ack':
          break;
      }
    }
  }

  /** The machine halted by itself. */
  stopped(reason: StopReason): void {
    if (!this.#attached) return;
    this.#stopReply = this.#describe(reason);
    this.#reply(this.#stopReply);
  }

  /** The machine was switched off. */
  exited(): void {
    if (this.#attached) this.#reply('W00');
    this.#attached = false;
  }

  #describe(reason: StopReason): string {
    switch (reason.kind) {
      case 'interrupted':
        return stopText(SIGNAL.interrupt);
      case 'shutdown':
        return stopText(SIGNAL.abort);
      case 'watch':
        return stopText(SIGNAL.trap, `${WATCH_NAMES[reason.access]}:${this.#addressText(reason.address)};`);
      default:
        return stopText(SIGNAL.trap);
    }
  }

  #addressText(linear: number): string {
    const wide = this.#registers === REGISTERS_64;
    return BigInt.asUintN(wide ? 64 : 32, BigInt(linear)).toString(16);
  }

  #reply(data: string | Uint8Array): void {
    this.#lastSent = encodePacket(data) as Uint8Array<ArrayBuffer>;
    this.#send(this.#lastSent);
  }

  #execute(text: string, raw: Uint8Array): void {
    const answer = this.#answer(text, raw);
    if (answer !== undefined) this.#reply(answer);
  }

  /** @returns undefined: the answer comes later, or none; '': not supported */
  #answer(text: string, raw: Uint8Array): string | Uint8Array | undefined {
    switch (text[0]) {
      case '?':
        return this.#stopReply;
      case 'g':
        return this.#registers.map((one) => toHex(this.#target.readRegister(one))).join('');
      case 'G':
        return this.#writeAll(text.slice(1));
      case 'p':
        return this.#readOne(text.slice(1));
      case 'P':
        return this.#writeOne(text.slice(1));
      case 'm':
        return this.#readMemory(text.slice(1));
      case 'M':
        return this.#writeMemory(text.slice(1));
      case 'X':
        return this.#writeBinary(text, raw);
      case 'c':
      case 'C':
        return this.#resume(text, false);
      case 's':
      case 'S':
        return this.#resume(text, true);
      case 'v':
        return this.#verbose(text);
      case 'Z':
      case 'z':
        return this.#setBreak(text);
      case 'q':
      case 'Q':
        return this.#query(text);
      case 'D':
        this.#reply('OK');
        this.disconnect();
        return undefined;
      case 'k':
        this.#attached = false;
        this.#target.kill();
        return undefined;
      case 'H':
      case 'T':
        return 'OK';
      default:
        return '';
    }
  }

  #verbose(text: string): string | undefined {
    if (text === 'vCont?') return 'vCont;c;C;s;S';
    if (text.startsWith('vCont;')) {
      // One CPU: the first action counts.
      const action = text[6];
      if (!'cCsS'.includes(action)) return 'E01';
      this.#target.resume(action === 's' || action === 'S');
      return undefined;
    }
    if (text.startsWith('vKill')) {
      this.#reply('OK');
      this.#attached = false;
      this.#target.kill();
      return undefined;
    }
    return '';
  }

  #resume(text: string, step: boolean): string | undefined {
    const [, address] = /^(?:[cs]|[CS][0-9a-f]{2};?)([0-9a-f]+)?$/i.exec(text) ?? [];
    if (address !== undefined) {
      const counter = this.#registers.find(({ type }) => type === 'code_ptr');
      if (counter) this.#target.writeRegister(counter, littleEndian(address, registerBytes(counter)));
    }
    this.#target.resume(step);
    return undefined;
  }

  #writeAll(hex: string): string {
    const bytes = fromHex(hex);
    if (!bytes) return 'E01';
    let at = 0;
    for (const register of this.#registers) {
      const size = registerBytes(register);
      if (at + size > bytes.length) break;
      // What cannot be written is part of the list all the same.
      this.#target.writeRegister(register, bytes.subarray(at, at + size));
      at += size;
    }
    return 'OK';
  }

  #readOne(text: string): string {
    const register = this.#registers[Number.parseInt(text, 16)];
    return register ? toHex(this.#target.readRegister(register)) : 'E01';
  }

  #writeOne(text: string): string {
    const [number, hex] = text.split('=');
    const register = this.#registers[Number.parseInt(number, 16)];
    const bytes = fromHex(hex ?? '');
    if (!register || bytes?.length !== registerBytes(register)) return 'E01';
    return this.#target.writeRegister(register, bytes) ? 'OK' : 'E02';
  }

  #readMemory(text: string): string {
    const range = parseRange(text);
    if (!range) return 'E01';
    const bytes = this.#target.readMemory(range.at, Math.min(range.byteCount, PACKET_BYTES / 2));
    return bytes.length === 0 && range.byteCount > 0 ? 'E14' : toHex(bytes);
  }

  #writeMemory(text: string): string {
    const [where, hex] = text.split(':');
    const range = parseRange(where);
    const bytes = fromHex(hex ?? '');
    if (!range || bytes?.length !== range.byteCount) return 'E01';
    return this.#target.writeMemory(range.at, bytes) ? 'OK' : 'E14';
  }

  #writeBinary(text: string, raw: Uint8Array): string {
    const colon = text.indexOf(':');
    const range = parseRange(text.slice(1, colon));
    const bytes = raw.subarray(colon + 1);
    if (colon < 0 || !range || bytes.length !== range.byteCount) return 'E01';
    return bytes.length === 0 || this.#target.writeMemory(range.at, bytes) ? 'OK' : 'E14';
  }

  #setBreak(text: string): string {
    const kind = Object.hasOwn(BREAK_KINDS, text[1]) ? BREAK_KINDS[text[1]] : undefined;
    const range = parseRange(text.slice(3).split(';')[0]);
    if (!kind || !range) return '';
    const act = text[0] === 'Z' ? this.#target.setBreak : this.#target.clearBreak;
    return act.call(this.#target, kind, range.at, Math.max(range.byteCount, 1)) ? 'OK' : 'E22';
  }

  #query(text: string): string | Uint8Array {
    const [name, rest] = split(text, /[:,;]/);
    switch (name) {
      case 'qSupported':
        return `PacketSize=${PACKET_BYTES.toString(16)};qXfer:features:read+;vContSupported+;QStartNoAckMode+`;
      case 'QStartNoAckMode':
        this.#acknowledges = false;
        return 'OK';
      case 'qXfer':
        return this.#transfer(rest);
      case 'qAttached':
        return '1';
      case 'qC':
        return 'QC1';
      case 'qfThreadInfo':
        return 'm1';
      case 'qsThreadInfo':
        return 'l';
      case 'qThreadExtraInfo':
        return toHex(latin1('CPU 0'));
      case 'qRcmd':
        return this.#command(rest);
      default:
        return '';
    }
  }

  /** `features:read:target.xml:OFFSET,LENGTH` */
  #transfer(text: string): string | Uint8Array {
    const [, offset, length] = /^features:read:target\.xml:([0-9a-f]+),([0-9a-f]+)$/i.exec(text) ?? [];
    if (offset === undefined) return text.startsWith('features:read:') ? 'E00' : '';
    const whole = targetDescription(this.#target.architecture, this.#registers);
    const from = Number.parseInt(offset, 16);
    const part = whole.slice(from, from + Math.min(Number.parseInt(length, 16), PACKET_BYTES - 4));
    return (from + part.length < whole.length ? 'm' : 'l') + part;
  }

  #command(hex: string): string {
    const bytes = fromHex(hex);
    if (!bytes) return 'E01';
    const printed = this.#target.monitor(textOf(bytes).trim());
    return printed === '' ? 'OK' : toHex(latin1(`${printed}\n`));
  }
}

const ACK = Uint8Array.of(0x2b);
const NACK = Uint8Array.of(0x2d);

const stopText = (signal: number, more = ''): string => `T${signal.toString(16).padStart(2, '0')}${more}thread:1;`;

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0) & 0xff);
const textOf = (bytes: Uint8Array): string => {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
};

function split(text: string, at: RegExp): [string, string] {
  const found = at.exec(text);
  return found ? [text.slice(0, found.index), text.slice(found.index + 1)] : [text, ''];
}

/** `ADDRESS,LENGTH` in hexadecimal; addresses above 2^63 are negative. */
function parseRange(text: string): { at: number; byteCount: number } | undefined {
  const [, address, length] = /^([0-9a-f]{1,16}),([0-9a-f]{1,8})$/i.exec(text) ?? [];
  if (address === undefined) return undefined;
  return { at: Number(BigInt.asIntN(64, BigInt(`0x${address}`))), byteCount: Number.parseInt(length, 16) };
}

/** A number in hexadecimal, most significant digit first, as bytes of a register. */
function littleEndian(hex: string, byteCount: number): Uint8Array {
  const digits = hex.padStart(byteCount * 2, '0').slice(-byteCount * 2);
  return (fromHex(digits) ?? new Uint8Array(byteCount)).reverse();
}
