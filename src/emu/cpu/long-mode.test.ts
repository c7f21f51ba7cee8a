/** 64-bit code as a guest runs it: kernel and user, compatibility mode, faults. The code was assembled by GNU as. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Cpu } from './cpu.ts';
import { GPR, SEG, STATE, STATE_LAYOUT } from './state/layout.ts';
import { SEL } from './system/cpu-bench.suite.ts';
import { HIGH, LongBench, PT, RSP0, SEL64 } from './system/long-bench.suite.ts';
import { testedTier } from './tier.suite.ts';

const USER = 0x6000;
const KERNEL = 0x5000;
/** HLT at HALT + 2 * vector, in the high half. */
const HALT = 0x7900;
const CR4_BASE = 0x20;
const CR4 = { umip: 1 << 11, fsgsbase: 1 << 16, smap: 1 << 21 } as const;

const bench = new LongBench();
let interruptVector = -1;
/** On the bench's memory. Making one takes long. */
const cpu = new Cpu({
  linear: bench.memory,
  physical: bench.physical,
  ports: bench.ports,
  interrupts: { acknowledge: () => interruptVector },
  tsc: () => 0,
  ...testedTier,
});

const put = (at: number, hex: string): void => {
  (hex.match(/../g) ?? []).forEach((byte, n) => {
    bench.physical.writeSized(at + n, 1, Number.parseInt(byte, 16));
  });
};
const gate = (vector: number, offset: number): void => bench.gate64(0x2000 + vector * 16, SEL64.code0, offset, 0xee);

beforeEach(() => {
  bench.restart();
  for (let vector = 0; vector < 64; vector++) {
    put(HALT + 2 * vector, 'F4');
    gate(vector, HIGH + HALT + 2 * vector);
  }
});

/** Runs what the bench is set up for until HLT; the bench then shows where it came to. @returns the vector that ended it */
function run(interrupt = -1): number {
  const { state } = bench;
  interruptVector = interrupt;
  const block = new Uint8Array(bench.physical.bytes.buffer, state.at, STATE.end).slice();
  cpu.restore({ layout: STATE_LAYOUT, state: block, interruptRequested: interrupt >= 0, nmiPending: false });
  expect(cpu.run(100_000)).toBe('halt');
  return (bench.rip - 1 - HIGH - HALT) / 2;
}
const user = (hex: string): number => {
  put(USER, hex);
  bench.enterUser64(USER);
  return run();
};
const kernel = (hex: string): number => {
  put(KERNEL, hex);
  return run();
};
/** The frame of an exception with an error code: code, RIP. */
const fault = (): number[] => bench.stack(2);

describe('a kernel and a program', () => {
  it('call each other with SYSCALL and SYSRET, with SWAPGS between', () => {
    bench.wrmsr(0xc000_0081, 0x0023_0010 * 2 ** 32);
    bench.wrmsr(0xc000_0082, HIGH + 0x7300);
    bench.wrmsr(0xc000_0084, 0x4_7700);
    bench.call('loadSegment', SEG.gs, 0);
    bench.wrmsr(0xc000_0101, 0x1000_0000);
    bench.wrmsr(0xc000_0102, HIGH + 0xa000);
    bench.putQuad(0xa018, HIGH + 0x8800);
    // swapgs; mov %rsp,%gs:0x10; mov %gs:0x18,%rsp; push %rcx; push %r11; lea 1(%rdi,%rax),%rax; pop %r11; pop %rcx;
    // mov %gs:0x10,%rsp; swapgs; sysretq
    put(0x7300, '0F01F865488924251000000065488B242518000000514153488D440701415B5965488B2425100000000F01F8480F07');
    // movabs $0x1122334455667788,%rdi; mov $7,%eax; syscall; mov %rax,%rbx; int $0x30
    expect(user('48BF8877665544332211B8070000000F054889C3CD30')).toBe(0x30);
    const rbx = STATE.gpr + GPR.ebx * 8;
    expect([bench.state.get(rbx + 4), bench.state.get(rbx)]).toEqual([0x1122_3344, 0x5566_7790]);
    expect(bench.getQuad(0xa010)).toBe(0xb000);
    expect(bench.state.base(SEG.gs)).toBe(0x1000_0000);
    expect(bench.stack(5)).toEqual([USER + 22, 0x33, 0x202, 0xb000, 0x2b]);
    expect(bench.rsp).toBe(RSP0 - 40);
  });

  it('mend a page fault with a new page table entry', () => {
    bench.put32(PT + 9 * 8, 0x9000, 0);
    bench.mmu.flush(false);
    gate(14, HIGH + 0x7000);
    bench.putQuad(0x3004, RSP0 + 0x800 - 0x1000);
    // mov (%rsp),%r12; mov %cr2,%r13; movabs $0xffffff8000203000,%rax; orl $7,0x48(%rax); invlpg 0x9000; add $8,%rsp; iretq
    put(0x7000, '4C8B2424410F20D548B80030200080FFFFFF834848070F013C25009000004883C40848CF');
    // movabs $0x12345678,%r9; mov %r9,0x9100; mov 0x9100,%r10; int $0x30
    expect(user('49B978563412000000004C890C25009100004C8B142500910000CD30')).toBe(0x30);
    expect([10, 12, 13].map((n) => bench.register(n))).toEqual([0x1234_5678, 6, 0x9100]);
  });

  it('take interrupts from outside', () => {
    put(USER, 'EBFE');
    bench.enterUser64(USER);
    expect(run(0x22)).toBe(0x22);
    expect(bench.stack(5)).toEqual([USER, SEL64.code3, 0x202, 0xb000, SEL.data3]);
  });

  it('run 32-bit programs', () => {
    gate(0x31, HIGH + 0x7200);
    // mov 24(%rsp),%r14; mov (%r14),%r15d; inc %r15; iretq
    put(0x7200, '4C8B742418458B3E49FFC748CF');
    // 32 bits: mov $0x80000000,%eax; inc %eax; push %eax; int $0x31; pop %ebx; int $0x30
    put(USER, 'B8000000804050CD315BCD30');
    bench.enterCompatibility(USER);
    expect(run()).toBe(0x30);
    expect([bench.register(14), bench.register(15), bench.register(GPR.ebx)]).toEqual([
      0xaffc, 0x8000_0002, 0x8000_0001,
    ]);
    expect(bench.stack(5)).toEqual([USER + 12, SEL.code3, 0x282, 0xb000, SEL.data3]);
  });

  it('jump between the modes themselves', () => {
    // push $0x1b; push $0x6100; lretq
    put(USER, '6A1B680061000048CB');
    // 32 bits: mov $0xffffffff,%eax; inc %eax; inc %eax; mov %esp,%ebp; ljmp $0x7b,$0x6200
    put(0x6100, 'B8FFFFFFFF404089E5EA006200007B00');
    // inc %rax by REX.W where 32-bit code has dec; mov %rsp,%rsi; int $0x30
    put(0x6200, '48FFC04889E6CD30');
    bench.enterUser64(USER);
    bench.setRegister(GPR.eax, -1);
    expect(run()).toBe(0x30);
    expect([GPR.eax, GPR.ebp, GPR.esi].map((n) => bench.register(n))).toEqual([2, 0xb000, 0xb000]);
  });
});

describe('instructions that 64-bit mode has of its own', () => {
  it('LAHF, SAHF, WRGSBASE and its companions', () => {
    bench.call64('movToCr', 4, CR4_BASE | CR4.fsgsbase);
    // mov $0xd5,%eax; shl $8,%eax; sahf; lahf; mov %rax,%r8; movabs $0xffffff8000000077,%rcx; wrgsbase %rcx; rdgsbase %rdx;
    // mov $0x1234567,%ecx; wrfsbase %ecx; rdfsbase %rbx; int $0x30
    expect(
      user('B8D5000000C1E0089E9F4989C048B97700000080FFFFFFF3480FAED9F3480FAECAB967452301F30FAED1F3480FAEC3CD30'),
    ).toBe(0x30);
    expect([8, GPR.edx, GPR.ebx].map((n) => bench.register(n))).toEqual([0xd700, HIGH + 0x77, 0x123_4567]);
  });

  it('control registers, CR8 among them', () => {
    bench.rip = HIGH + KERNEL;
    // mov $5,%eax; mov %rax,%cr8; mov %cr8,%rbx; mov %cr3,%rax; mov %rax,%cr3; mov %cr3,%rcx; int $0x30
    expect(kernel('B805000000440F22C0440F20C30F20D80F22D80F20D9CD30')).toBe(0x30);
    expect(bench.register(GPR.ebx)).toBe(5);
    expect(bench.register(GPR.ecx)).toBe(bench.register(GPR.eax));
  });

  it('CMPXCHG16B', () => {
    // mov %rsp,%rdi; and $-16,%rdi; sub $32,%rdi; movq $1,(%rdi); movq $2,8(%rdi); mov $1,%eax; mov $2,%edx; mov $7,%ebx;
    // mov $8,%ecx; lock cmpxchg16b (%rdi); mov (%rdi),%r8; mov 8(%rdi),%rdx; int $0x30
    expect(
      user(
        '4889E74883E7F04883EF2048C7070100000048C7470802000000B801000000BA02000000BB07000000B908000000F0480FC70F4C8B07488B5708CD30',
      ),
    ).toBe(0x30);
    expect([8, GPR.edx].map((n) => bench.register(n))).toEqual([7, 8]);
  });

  it('RDFSBASE is #UD until CR4.FSGSBASE', () => {
    expect(user('F3480FAEC0')).toBe(6);
  });

  it('SGDT is #GP(0) for programs with CR4.UMIP', () => {
    bench.call64('movToCr', 4, CR4_BASE | CR4.umip);
    expect(user('0F01042500900000')).toBe(13);
    expect(fault()).toEqual([0, USER]);
  });

  it('STAC lets the kernel read what SMAP keeps from it', () => {
    // The kernel's own pages: code, stack and tables.
    for (const n of [1, 2, 3, 5, 7, 8]) bench.put32(PT + n * 8, (n << 12) | 3);
    bench.putQuad(0x9000, 77);
    bench.call64('movToCr', 4, CR4_BASE | CR4.smap);
    bench.mmu.flush(false);
    bench.rip = HIGH + KERNEL;
    // stac; mov 0x9000,%rax; clac; mov 0x9000,%rbx
    expect(kernel('0F01CB488B0425009000000F01CA488B1C2500900000')).toBe(14);
    expect(fault()).toEqual([1, HIGH + KERNEL + 14]);
    expect(bench.register(GPR.eax)).toBe(77);
    expect(bench.state.address(STATE.cr2)).toBe(0x9000);
  });
});

describe('addresses that are not canonical', () => {
  it('are #GP(0) at the instruction that uses them', () => {
    // movabs $0x800000000100,%rbx; mov 8(%rbx),%rax
    expect(user('48BB0001000000800000488B4308')).toBe(13);
    expect(fault()).toEqual([0, USER + 10]);
  });

  it('are #SS(0) through the stack', () => {
    // movabs $0x800000000100,%rsp; push %rax
    expect(user('48BC000100000080000050')).toBe(12);
    expect(fault()).toEqual([0, USER + 10]);
  });

  it('are #SS(0) below the frame pointer', () => {
    // movabs $0x800000000100,%rbp; mov 8(%rbp),%rax
    expect(user('48BD0001000000800000488B4508')).toBe(12);
    expect(fault()).toEqual([0, USER + 10]);
  });
});

describe('what is seldom', () => {
  it('64-bit code that changes itself', () => {
    // mov $3,%ecx; 1: movabs $0x1111111111111111,%rax; add %rax,%rdx; incb 1b+2; dec %ecx; jnz 1b; int $0x30
    expect(user('B90300000048B811111111111111114801C2FE042507600000FFC975E8CD30')).toBe(0x30);
    const rdx = STATE.gpr + GPR.edx * 8;
    expect([bench.state.get(rdx + 4), bench.state.get(rdx)]).toEqual([0x3333_3333, 0x3333_3336]);
  });

  it('breakpoints on data and on instructions, at full speed elsewhere', () => {
    bench.call64('movToDr', 0, 0x9104);
    // 0: data writes of 4 bytes.
    bench.call64('movToDr', 7, 1 | (1 << 16) | (3 << 18));
    // movabs $0x12345678,%r9; mov %r9,0x9100; mov 0x9100,%r10; int $0x30
    expect(user('49B978563412000000004C890C25009100004C8B142500910000CD30')).toBe(1);
    expect([bench.stack(1), bench.getQuad(0x9100), bench.state.get(STATE.dr6) & 0xf]).toEqual([
      [USER + 18],
      0x1234_5678,
      1,
    ]);
    bench.restart();
    put(HALT + 2, 'F4');
    gate(1, HIGH + HALT + 2);
    // 1: the third instruction.
    bench.call64('movToDr', 1, USER + 18);
    bench.call64('movToDr', 7, 4);
    expect(user('49B978563412000000004C890C25009100004C8B142500910000CD30')).toBe(1);
    expect([bench.stack(1), bench.register(10), bench.state.get(STATE.dr6) & 0xf]).toEqual([[USER + 18], 0, 2]);
  });

  it('single steps', () => {
    put(USER, '9049C7C105000000CD30');
    bench.enterUser64(USER, 0xb000, 0x302);
    expect(run()).toBe(1);
    expect(bench.stack(3)).toEqual([USER + 1, SEL64.code3, 0x302]);
    expect(bench.state.get(STATE.dr6) & 0x4000).toBe(0x4000);
  });
});
