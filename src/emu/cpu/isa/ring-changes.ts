/**
 * The usual ways between privilege levels 3 and 0, by generated code: flat segments, 32-bit or 64-bit code on both sides, no
 * debugger, and everything that is read or written in the TLB. Nothing of that can fault. What is not usual is left to the
 * system, which knows all the rules, before anything has changed.
 *
 * Source: as of system/fast-calls.ts, returns.ts, long-returns.ts and events.ts, which say the same in full.
 */
import { unreachable } from '#base/errors.ts';
import { ARITHMETIC_FLAGS, EFLAGS } from '../state/flags.ts';
import {
  FLAT32,
  GPR,
  JUMP_MODE,
  jumpCacheAt,
  jumpModesAt,
  LONG_MODE,
  SEG,
  SEGMENT,
  STATE,
  TLB_BANK,
  tlbBankAt,
} from '../state/layout.ts';
import { CR0, CR4, DR7, EFER, SYSRET_FLAGS } from '../system/control-bits.ts';
import { ACCESS_RIGHTS, flatCode, flatData } from '../system/descriptors.ts';
import { type I32, type I64, i32, i64, k32, k64, type Word, word } from '../wasm/expr.ts';
import { arithmeticBits, setArithmeticBits } from './flag-ops.ts';
import type { Address, Ops } from './ops.ts';
import { stackPointer } from './stack-ops.ts';

const at0 = k32(0);
const R11 = 11;
/** A flat segment's descriptor, of which the access rights have been seen to be `access`. */
const flatDescriptor = (access: number): I64 => k64((BigInt(0x000f_0000 | ((access & 0xf0ff) << 8)) << 32n) | 0xffffn);
/** What of a descriptor's upper word makes 64-bit code: type, S, DPL, P, L, D. Base, limit and the rest mean nothing there. */
const LONG_CODE_MASK = 0x0060_ff00;
/** What IRET restores at level 0 besides arithmetic flags, and without a question. */
const RETURNED_FLAGS = EFLAGS.if | EFLAGS.df | EFLAGS.iopl | EFLAGS.nt | EFLAGS.ac | EFLAGS.id;

const any = (...conditions: I32[]): I32 => conditions.reduce((a, b) => i32.or(a, b));
const all = (...conditions: I32[]): I32 => conditions.reduce((a, b) => i32.and(a, b));
const has = (value: I32, bits: number): I32 => i32.ne(i32.and(value, k32(bits)), at0);
const segment = (seg: number): number => STATE.segments + seg * SEGMENT.bytes;
const stateAt = (e: Ops): number => e.addressOf(STATE.gpr).constant ?? unreachable('a state block that moves');

/** Bits 47 to 63 are not all the same. */
export const notCanonical = (v: I64): I32 => {
  const sixteen = i64.extendU(k32(16));
  return i64.ne(i64.shrS(i64.shl(v, sixteen), sixteen), v);
};

/** 0 when code runs in flat segments at full speed, and the jump cache of the level to go to knows the same mode. */
function unusualMode(e: Ops, user: 0 | 1): I32 {
  const mode = e.long ? LONG_MODE : FLAT32;
  const modes = any(
    i32.xor(e.get(STATE.mode), k32(mode)),
    i32.xor(e.get(jumpModesAt(user, e.long)), k32(mode | JUMP_MODE.protectedMode)),
  );
  if (e.long) return modes;
  const real = i32.xor(i32.and(e.get(STATE.cr0), k32(CR0.pe)), k32(CR0.pe));
  return any(modes, real, i32.and(e.get(STATE.efer), k32(EFER.lma)));
}

/** The TLB bank of level 0: under SMAP, and without EFLAGS.AC, the one that is kept from user pages. */
function supervisorBank(e: Ops, eflags: I32): I32 {
  const [free, strict] = [TLB_BANK.supervisor, TLB_BANK.strict].map((bank) => tlbBankAt(stateAt(e), bank, e.long));
  const smap = i32.shrU(e.get(STATE.cr4), k32(Math.log2(CR4.smap)));
  const explicit = i32.shrU(eflags, k32(Math.log2(EFLAGS.ac)));
  const kept = i32.and(i32.and(smap, i32.xor(explicit, k32(-1))), k32(1));
  return e.f.let(i32.add(k32(free), i32.mul(kept, k32(strict - free))));
}

/** What `SystemContext.updateMode` would do. @param eflags evaluated, without arithmetic flags */
function setLevel(e: Ops, level: 0 | 3, eflags: I32): void {
  const user = level === 3;
  e.set(STATE.eflags, eflags);
  e.set(STATE.cpl, k32(level));
  e.set(STATE.tlbBase, user ? k32(tlbBankAt(stateAt(e), TLB_BANK.user, e.long)) : supervisorBank(e, eflags));
  e.set(STATE.jumpCacheBase, k32(jumpCacheAt(stateAt(e), user ? 1 : 0, e.long)));
  if (user) e.set(STATE.userRan, k32(1));
}

/** Loads CS or SS with a flat segment. In 32-bit code the one before was flat too. */
function setFlat(e: Ops, seg: number, selector: I32, access: I32): void {
  const at = segment(seg);
  if (e.long) {
    e.set64(at + SEGMENT.base, k64(0));
    e.set(at + SEGMENT.limit, k32(-1));
    e.set(at + SEGMENT.readable, k32(1));
    e.set(at + SEGMENT.writable, k32(seg === SEG.ss ? 1 : 0));
  }
  e.set(at + SEGMENT.access, access);
  e.set(at + SEGMENT.selector, selector);
}
const setFlatPair = (e: Ops, level: 0 | 3, code: I32, data: I32): void => {
  setFlat(e, SEG.cs, i32.or(code, k32(level)), k32(flatCode(level, e.long)));
  setFlat(e, SEG.ss, i32.or(data, k32(level)), k32(flatData(level)));
};

/** The descriptor that a selector names in the GDT; 0 when that takes more than a look into the TLB. */
function descriptorOf(e: Ops, selector: I32, bank?: I32): I64 {
  const { f } = e;
  const found = f.local('i64');
  const base = e.getAddress(STATE.gdtBase);
  const entry = f.let(word.add(base, word.toU(base.type, i32.and(selector, k32(0xfff8)))));
  const host = f.let(e.readable(entry, bank));
  const whole = i32.eqz(i32.or(i32.and(selector, k32(4)), i32.and(word.low(entry), k32(7))));
  const inTable = i32.leU(i32.or(selector, k32(7)), e.get(STATE.gdtLimit));
  f.set(found, k64(0));
  f.if(all(i32.ne(host, at0), whole, inTable), () => f.set(found, i64.load(host)));
  return found.get;
}

/** Are `bytes` from `at` on in one page? */
const inPage = (at: Address, bytes: number): I32 => i32.leU(i32.and(word.low(at), k32(0xfff)), k32(0x1000 - bytes));

export function sysenter(e: Ops): void {
  const { f } = e;
  if (e.transfer && !e.long) {
    const selector = f.let(i32.and(e.get(STATE.sysenterCs), k32(0xfffc)));
    f.if(i32.eqz(any(unusualMode(e, 0), i32.eqz(selector))), () => {
      setFlatPair(e, 0, selector, i32.and(i32.add(selector, k32(8)), k32(0xffff)));
      setLevel(e, 0, f.let(i32.and(e.get(STATE.eflags), k32(~(EFLAGS.vm | EFLAGS.if | EFLAGS.rf)))));
      e.setRegister(32, GPR.esp, e.get(STATE.sysenterEsp));
      e.transfer?.(e.get(STATE.sysenterEip));
    });
  }
  e.system('sysenter');
}

export function sysexit(e: Ops): void {
  const { f } = e;
  if (e.transfer && !e.long) {
    const selector = f.let(i32.and(e.get(STATE.sysenterCs), k32(0xfffc)));
    f.if(i32.eqz(any(unusualMode(e, 1), e.get(STATE.cpl), i32.eqz(selector))), () => {
      const [code, data] = [16, 24].map((n) => i32.and(i32.add(selector, k32(n)), k32(0xffff)));
      const target = e.register(32, GPR.edx);
      setFlatPair(e, 3, code, data);
      setLevel(e, 3, e.get(STATE.eflags));
      e.setRegister(32, GPR.esp, e.register(32, GPR.ecx));
      e.transfer?.(target);
    });
  }
  e.system('sysexit', k32(e.size));
}

export function syscall(e: Ops): void {
  const { f } = e;
  if (e.transfer) {
    f.if(i32.eqz(any(unusualMode(e, 0), i32.eqz(has(e.get(STATE.efer), EFER.sce)))), () => {
      const flags = f.let(i32.or(e.get(STATE.eflags), arithmeticBits(e)));
      const masked = f.let(i32.and(flags, i32.xor(e.get(STATE.fmask), k32(-1))));
      const selector = f.let(i32.and(e.get(STATE.star + 4), k32(0xfffc)));
      e.setRegister(64, GPR.ecx, e.nextEip());
      e.setRegister(64, R11, i64.extendU(flags));
      setArithmeticBits(e, masked);
      setFlatPair(e, 0, selector, i32.and(i32.add(selector, k32(8)), k32(0xffff)));
      setLevel(e, 0, f.let(i32.or(i32.and(masked, k32(~(ARITHMETIC_FLAGS | EFLAGS.rf))), k32(EFLAGS.reserved1))));
      e.transfer?.(e.get64(STATE.lstar));
    });
  }
  e.system('syscall');
}

export function sysret(e: Ops): void {
  const { f } = e;
  if (e.transfer && e.size === 64) {
    const target = e.register(64, GPR.ecx) as I64;
    const flags = f.let(word.low(e.register(64, R11)));
    const refused = any(e.get(STATE.cpl), i32.eqz(has(e.get(STATE.efer), EFER.sce)), notCanonical(target));
    f.if(i32.eqz(any(unusualMode(e, 1), refused, i32.and(flags, k32(EFLAGS.tf)))), () => {
      const selector = f.let(i32.shrU(e.get(STATE.star + 4), k32(16)));
      const [code, data] = [16, 8].map((n) => i32.and(i32.add(i32.and(selector, k32(0xfffc)), k32(n)), k32(0xffff)));
      setArithmeticBits(e, flags);
      setFlatPair(e, 3, code, data);
      const kept = i32.and(flags, k32(SYSRET_FLAGS & ~ARITHMETIC_FLAGS));
      setLevel(e, 3, f.let(i32.or(kept, k32(EFLAGS.reserved1))));
      e.transfer?.(target);
    });
  }
  e.system('sysret', k32(e.size));
}

/** Access rights of the code that a descriptor is of, when it is flat code of a level; 0: something else. */
function codeRights(e: Ops, descriptor: I64, level: 0 | 3): I32 {
  const access = flatCode(level, e.long);
  if (!e.long) return i32.mul(i64.eq(descriptor, flatDescriptor(access)), k32(access));
  const high = e.f.let(i32.wrap(i64.shrU(descriptor, k64(32))));
  const wanted = ((access & 0xff) << 8) | (ACCESS_RIGHTS.long << 8);
  const isThat = i32.eq(i32.and(high, k32(LONG_CODE_MASK)), k32(wanted));
  return i32.mul(isThat, i32.and(i32.shrU(high, k32(8)), k32(0xf0ff)));
}

export function interruptReturn(e: Ops): void {
  const { f } = e;
  if (e.transfer && e.size === (e.long ? 64 : 32)) {
    const bytes = e.size / 8;
    const top = stackPointer(e);
    const host = f.let(e.readable(top));
    const flags = e.get(STATE.eflags);
    const refused = any(e.get(STATE.cpl), i32.and(flags, k32(EFLAGS.nt | EFLAGS.vm)), i32.eqz(inPage(top, 5 * bytes)));
    f.if(i32.and(i32.ne(host, at0), i32.eqz(refused)), () => {
      const target = f.let<'i32' | 'i64'>(e.long ? i64.load(host) : i32.load(host)) as Word;
      const selector = f.let(i32.load16U(host, bytes));
      const image = f.let(i32.load(host, 2 * bytes));
      // RF holds for one instruction, and only where a breakpoint could be met.
      const resumes = i32.and(has(image, EFLAGS.rf), has(e.get(STATE.dr7), DR7.enables));
      const rare = any(has(image, EFLAGS.tf | EFLAGS.vm | EFLAGS.vif | EFLAGS.vip), resumes);
      const far = e.long ? notCanonical(target as I64) : at0;
      f.if(i32.eqz(any(rare, far)), () => {
        const code = descriptorOf(e, selector);
        for (const level of [3, 0] as const) {
          const rights = f.let(codeRights(e, code, level));
          const isThat = i32.and(i32.ne(rights, at0), i32.eq(i32.and(selector, k32(3)), k32(level)));
          f.if(i32.and(isThat, i32.eqz(unusualMode(e, level === 3 ? 1 : 0))), () =>
            returnTo(e, { level, host, selector, rights, image, target }),
          );
        }
      });
    });
  }
  e.system('interruptReturn', k32(e.size));
}

interface InterruptFrame {
  readonly level: 0 | 3;
  readonly host: I32;
  readonly selector: I32;
  readonly rights: I32;
  readonly image: I32;
  readonly target: Word;
}

/** CS has been found flat. */
function returnTo(e: Ops, { level, host, selector, rights, image, target }: InterruptFrame): void {
  const { f } = e;
  const bytes = e.size / 8;
  const go = (): void => {
    setFlat(e, SEG.cs, selector, rights);
    setArithmeticBits(e, image);
    setLevel(e, level, f.let(i32.or(i32.and(image, k32(RETURNED_FLAGS)), k32(EFLAGS.reserved1))));
    e.set(STATE.nmiBlocked, at0);
    e.transfer?.(target);
  };
  if (level === 0 && !e.long) {
    e.setRegister(32, GPR.esp, f.let(word.add(stackPointer(e), 3 * bytes)));
    go();
    return;
  }
  const pointer = f.let<'i32' | 'i64'>(e.long ? i64.load(host, 3 * bytes) : i32.load(host, 3 * bytes)) as Word;
  const stack = f.let(i32.load16U(host, 4 * bytes));
  const isFlat = i64.eq(descriptorOf(e, stack), flatDescriptor(flatData(level)));
  const usual = i32.and(isFlat, i32.eq(i32.and(stack, k32(3)), k32(level)));
  const ready = level === 0 ? usual : i32.and(usual, keepsSegments(e));
  f.if(ready, () => {
    setFlat(e, SEG.ss, stack, k32(flatData(level)));
    e.setRegister(e.long ? 64 : 32, GPR.esp, pointer);
    go();
  });
  if (level === 3) return;
  // In 64-bit code above level 3 SS may be null.
  f.if(i32.eqz(stack), () => {
    for (let field = 0; field < SEGMENT.bytes; field += 8) e.set64(segment(SEG.ss) + field, k64(0));
    e.setRegister(64, GPR.esp, pointer);
    go();
  });
}

/** Does a return to level 3 leave ES, DS, FS and GS as they are? */
function keepsSegments(e: Ops): I32 {
  const DPL3 = 0x60;
  return [SEG.es, SEG.ds, SEG.fs, SEG.gs]
    .map((seg) => {
      const access = e.get(segment(seg) + SEGMENT.access);
      const isNull = i32.eqz(i32.or(access, e.get(segment(seg) + SEGMENT.selector)));
      return i32.or(isNull, i32.eq(i32.and(access, k32(DPL3)), k32(DPL3)));
    })
    .reduce((a, b) => i32.and(a, b));
}

/** A gate's type, S and P, and what they are of a 32-bit interrupt gate. Bit 8 tells a trap gate from it. */
const GATE = { mask: 0x9e00, interrupt32: 0x8e00 } as const;

/** INT n from level 3 through a gate to level 0. */
export function softwareInterrupt(e: Ops): void {
  const { f } = e;
  const vector = e.f.let(e.read(0));
  if (e.transfer && !e.long) {
    const flags = f.let(i32.or(e.get(STATE.eflags), arithmeticBits(e)));
    // Neither a gate's rights nor the task's stack are looked for with those of the program.
    const bank = supervisorBank(e, i32.and(flags, k32(~EFLAGS.ac)));
    const gateAt = f.let(i32.add(e.get(STATE.idtBase), i32.shl(vector, k32(3))));
    const gate = f.let(e.readable(gateAt, bank));
    const stackAt = f.let(i32.add(e.get(segment(SEG.tr)), k32(4)));
    const stack = f.let(e.readable(stackAt, bank));
    const inTables = all(
      i32.leU(i32.or(i32.shl(vector, k32(3)), k32(7)), e.get(STATE.idtLimit)),
      all(inPage(gateAt, 8), inPage(stackAt, 8)),
      all(i32.ne(gate, at0), i32.ne(stack, at0)),
      i32.geU(e.get(segment(SEG.tr) + SEGMENT.limit), k32(9)),
      has(e.get(segment(SEG.tr) + SEGMENT.access), 8),
    );
    f.if(all(inTables, i32.eqz(unusualMode(e, 0)), i32.eq(e.get(STATE.cpl), k32(3))), () => {
      const low = f.let(i32.load(gate));
      const high = f.let(i32.load(gate, 4));
      const selector = f.let(i32.shrU(low, k32(16)));
      const stackSelector = f.let(i32.load16U(stack, 4));
      const frame = f.let(i32.sub(i32.load(stack), k32(20)));
      const to = f.let(e.writable(frame, bank));
      const DPL3 = 0x6000;
      const usual = all(
        i32.eq(i32.and(high, k32(GATE.mask | DPL3)), k32(GATE.interrupt32 | DPL3)),
        i64.eq(descriptorOf(e, selector, bank), flatDescriptor(flatCode(0, false))),
        i64.eq(descriptorOf(e, stackSelector, bank), flatDescriptor(flatData(0))),
        i32.eqz(i32.and(stackSelector, k32(3))),
        all(i32.ne(to, at0), inPage(frame, 20)),
      );
      f.if(usual, () => {
        const items = [
          e.nextEip() as I32,
          e.get(segment(SEG.cs) + SEGMENT.selector),
          flags,
          e.register(32, GPR.esp) as I32,
          e.get(segment(SEG.ss) + SEGMENT.selector),
        ];
        for (const [n, item] of items.entries()) f.store32(to, item, n * 4);
        // IF stays behind a trap gate.
        const open = i32.and(i32.shrU(high, k32(8)), k32(1));
        const kept = i32.or(k32(~(ARITHMETIC_FLAGS | EFLAGS.if | EFLAGS.nt | EFLAGS.rf)), i32.shl(open, k32(9)));
        setFlatPair(e, 0, i32.and(selector, k32(0xfffc)), stackSelector);
        e.setRegister(32, GPR.esp, frame);
        setLevel(e, 0, f.let(i32.and(flags, kept)));
        e.transfer?.(f.let(i32.or(i32.and(low, k32(0xffff)), i32.and(high, k32(0xffff_0000 | 0)))));
      });
    });
  }
  e.system('softwareInterrupt', vector);
}

/** STAC and CLAC, where SMAP makes them matter. */
export const setAccessCheck =
  (on: boolean) =>
  (e: Ops): void => {
    const { f } = e;
    if (e.transfer) {
      f.if(i32.and(has(e.get(STATE.cr4), CR4.smap), i32.eqz(e.get(STATE.cpl))), () => {
        const before = i32.and(e.get(STATE.eflags), k32(~EFLAGS.ac));
        const eflags = f.let(on ? i32.or(before, k32(EFLAGS.ac)) : before);
        e.set(STATE.eflags, eflags);
        e.set(STATE.tlbBase, supervisorBank(e, eflags));
        e.transfer?.(e.nextEip());
      });
    }
    e.system(on ? 'stac' : 'clac');
  };
