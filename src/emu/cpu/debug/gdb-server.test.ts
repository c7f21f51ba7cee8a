import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GPR, SEG, STATE } from '../state/layout.ts';
import { CODE, DebugBench, STACK } from './debug-bench.suite.ts';

/** mov ecx, 1000 / L: inc eax / add edx, eax / dec ecx / jnz L / hlt */
const LOOP = [0xb9, 0xe8, 3, 0, 0, 0x40, 0x01, 0xc2, 0x49, 0x75, 0xfa, 0xf4];
const TOP = CODE + 5;

function attached(code: readonly number[] = LOOP): DebugBench {
  const bench = new DebugBench();
  bench.load(code);
  bench.attach();
  return bench;
}

const hex32 = (value: number): string => {
  const bytes = [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
  return bytes.map((b) => b.toString(16).padStart(2, '0')).join('');
};
const at = (address: number): string => address.toString(16);
/** GDB's number of EIP. */
const EIP = 8;
const register = (bench: DebugBench, number: number): string | undefined => bench.ask(`p${number.toString(16)}`);

describe('the stub', () => {
  it('says what it can, and describes the registers in pieces', () => {
    const bench = attached();
    expect(bench.ask('qSupported:multiprocess+;xmlRegisters=i386')).toContain('qXfer:features:read+');
    let text = '';
    for (let piece = 'm'; piece[0] === 'm'; text += piece.slice(1)) {
      piece = bench.ask(`qXfer:features:read:target.xml:${at(text.length)},200`) ?? '';
    }
    expect(text).toContain('<architecture>i386</architecture>');
    for (const name of ['eax', 'eip', 'st7', 'fop', 'xmm7', 'mxcsr', 'cr3']) expect(text).toContain(`name="${name}"`);
    expect(bench.ask('qXfer:features:read:other.xml:0,100')).toBe('E00');
    expect(bench.ask('vMustReplyEmpty')).toBe('');
    expect(bench.ask('?')).toMatch(/^T05/);
  });

  it('acknowledges until it is told not to, and sends again what was damaged', () => {
    const bench = attached();
    bench.ask('?');
    expect(bench.acks).toBe(1);
    bench.send([...'$?#00'].map((c) => c.charCodeAt(0)));
    expect([bench.acks, bench.nacks]).toEqual([1, 1]);
    bench.send(['-'.charCodeAt(0)]);
    expect(bench.packets.shift()).toMatch(/^T05/);
    bench.ask('QStartNoAckMode');
    bench.ask('?');
    expect(bench.acks).toBe(2);
  });

  it('reads and writes registers', () => {
    const bench = attached();
    const all = bench.ask('g') ?? '';
    expect(all.slice(4 * 8, 5 * 8)).toBe(hex32(STACK));
    expect(all.slice(EIP * 8, EIP * 8 + 8)).toBe(hex32(CODE));
    expect(bench.ask(`P0=${hex32(0x1234_5678)}`)).toBe('OK');
    expect(register(bench, 0)).toBe('78563412');
    expect(bench.cpu.state.gpr(GPR.eax)).toBe(0x1234_5678);
    // EFLAGS are kept in pieces; st0 is 10 bytes, xmm0 16.
    expect(bench.ask(`P9=${hex32(0x8d7)}`)).toBe('OK');
    expect(bench.cpu.state.eflags).toBe(0x8d7);
    expect(bench.ask('P10=00000000000000c0ff3f')).toBe('OK');
    expect(register(bench, 16)).toBe('00000000000000c0ff3f');
    expect(bench.ask(`P20=${'0123456789abcdef'.repeat(2)}`)).toBe('OK');
    expect(register(bench, 0x20)).toBe('0123456789abcdef'.repeat(2));
    // A selector alone makes no segment: the base stays. CPL cannot be written at all.
    const base = bench.cpu.state.base(SEG.ds);
    expect(bench.ask(`Pc=${hex32(0x1_0020)}`)).toBe('OK');
    expect([bench.cpu.state.selector(SEG.ds), bench.cpu.state.base(SEG.ds)]).toEqual([0x20, base]);
    expect(bench.ask(`Pc=${all.slice(12 * 8, 13 * 8)}`)).toBe('OK');
    // The upper half of YMM0 follows MXCSR.
    expect(bench.ask(`P29=${'fedcba9876543210'.repeat(2)}`)).toBe('OK');
    expect(register(bench, 0x29)).toBe('fedcba9876543210'.repeat(2));
    expect(bench.ask(`P46=${hex32(3)}`)).toBe('E02');
    const changed = hex32(7) + all.slice(8);
    expect(bench.ask(`G${changed}`)).toBe('OK');
    expect(bench.ask('g')).toBe(changed);
    expect(bench.ask('pff')).toBe('E01');
  });

  it('shows the stack top of the x87 where it is', () => {
    // fld1 / fldpi / hlt
    const bench = attached([0xd9, 0xe8, 0xd9, 0xeb, 0xf4]);
    bench.ask('vCont;s');
    bench.run();
    bench.ask('vCont;s');
    bench.run();
    expect(register(bench, 16)).toBe('35c26821a2da0fc90040');
    expect(register(bench, 17)).toBe('0000000000000080ff3f');
    expect(register(bench, 25)).toBe(hex32(6 << 11));
    expect(register(bench, 26)).toBe(hex32(0x0fff));
  });
});

describe('memory', () => {
  it('is read and written where the guest would, and what is not there is an error', () => {
    const bench = attached();
    expect(bench.ask(`m${at(CODE)},4`)).toBe('b9e80300');
    expect(bench.ask('M20000,3:0a0b0c')).toBe('OK');
    expect(bench.ask('m20000,4')).toBe('0a0b0c00');
    expect(bench.ask('X20000,2:}x')).toBe('OK');
    expect(bench.memory.readU16(0x20000)).toBe(0x787d);
    expect(bench.ask('m90000000,4')).toBe('E14');
    expect(bench.ask('M90000000,1:00')).toBe('E14');
    // As much as there is.
    expect(bench.ask('m3ffffe,10')).toBe('0000');
    expect(bench.ask('mzz,4')).toBe('E01');
  });

  it('is found through page tables, which stay as they were', () => {
    const bench = attached();
    const [directory, table] = [0x100000, 0x101000];
    // The page at C0000000h is the one at 20000h; 10000h stays where it is.
    bench.memory.writeSized(directory + 0xc00, 4, table | 3);
    bench.memory.writeSized(table, 4, 0x20000 | 3);
    bench.memory.writeSized(directory, 4, 0x102000 | 3);
    for (let page = 0; page < 1024; page++) bench.memory.writeSized(0x102000 + page * 4, 4, (page << 12) | 3);
    bench.cpu.state.set(STATE.cr3, directory);
    bench.cpu.state.set(STATE.cr0, 0x8000_0011 | 0);
    bench.cpu.stateChanged();
    bench.memory.write(0x20000, Uint8Array.of(1, 2, 3, 4));
    expect(bench.ask('mc0000000,4')).toBe('01020304');
    expect(bench.ask('Mc0000001,1:ff')).toBe('OK');
    expect(bench.memory.readU32(0x20000)).toBe(0x0403_ff01);
    expect(bench.ask('mc0001000,1')).toBe('E14');
    expect(bench.ask('m90000000,1')).toBe('E14');
    const monitor = (line: string): string => {
      const hex = bench.ask(`qRcmd,${Buffer.from(line).toString('hex')}`) ?? '';
      return Buffer.from(hex, 'hex').toString();
    };
    expect(monitor('walk 0xc0000000')).toMatch(/PDE .*101003[\s\S]*PTE .*20003[\s\S]*physical 00020000/);
    expect(monitor('walk 0x90000000')).toContain('not mapped');
    expect(monitor('phys 0x20000 4')).toContain('01 ff 03 04');
    expect(monitor('info')).toMatch(/EIP=00010000/);
    expect(bench.memory.readU32(directory + 0xc00)).toBe(table | 3);
    expect(bench.memory.readU32(table)).toBe(0x20003);
    expect(bench.cpu.state.get(STATE.faultVector)).toBe(-1);
    expect(bench.cpu.state.get(STATE.cr2)).toBe(0);
  });

  it('that holds decoded code is decoded anew', () => {
    const bench = attached();
    bench.ask(`Z0,${at(CODE + 11)},1`);
    bench.ask('c');
    expect(bench.run()).toMatch(/^T05/);
    // The loop adds twice: inc eax becomes dec eax.
    expect(bench.ask(`M${at(TOP)},1:48`)).toBe('OK');
    bench.ask(`P8=${hex32(CODE)}`);
    bench.ask('c');
    bench.run();
    expect(bench.cpu.state.gpr(GPR.eax)).toBe(0);
  });
});

describe('breakpoints', () => {
  it('stop a loop each time, and nothing of them is in the guest', () => {
    const bench = attached();
    expect(bench.ask(`Z0,${at(TOP)},1`)).toBe('OK');
    for (let round = 0; round < 5; round++) {
      expect(bench.ask('vCont;c')).toBeUndefined();
      expect(bench.run()).toMatch(/^T05/);
      expect(register(bench, EIP)).toBe(hex32(TOP));
      expect(bench.cpu.state.gpr(GPR.eax)).toBe(round);
    }
    expect(bench.memory.readU16(TOP)).toBe(0x0140);
    expect(bench.cpu.state.get(STATE.dr7)).toBe(0x400);
    expect(bench.ask(`z0,${at(TOP)},1`)).toBe('OK');
    bench.ask('c');
    expect(bench.run()).toBeUndefined();
    expect(bench.cpu.halted).toBe(true);
    expect(bench.cpu.state.gpr(GPR.eax)).toBe(1000);
    expect(bench.cpu.retired).toBe(1 + 4 * 1000 + 1);
  });

  it('in code that ran before, and hardware ones, stop as well', () => {
    const bench = attached([...LOOP.slice(0, 11), 0xeb, 0xf3]);
    bench.ask('c');
    bench.run(50_000);
    bench.send([3]);
    expect(bench.packets.shift()).toMatch(/^T02/);
    bench.ask(`Z1,${at(TOP + 1)},1`);
    bench.ask('c');
    expect(bench.run()).toMatch(/^T05/);
    expect(register(bench, EIP)).toBe(hex32(TOP + 1));
  });

  it('mean one address, not all that share its low bits', () => {
    // jmp to the same offset in the next page, hlt there.
    const bench = attached([0xe9, 0xfb, 0x0f, 0, 0]);
    bench.memory.write(CODE + 0x1000, Uint8Array.of(0xf4));
    bench.ask(`Z0,${at(CODE + 0x2000)},1`);
    bench.ask('c');
    expect(bench.run()).toBeUndefined();
    expect(bench.cpu.halted).toBe(true);
  });

  it('do not stop where execution goes on', () => {
    const bench = attached();
    bench.ask(`Z0,${at(CODE)},1`);
    bench.ask('c');
    expect(bench.run()).toBeUndefined();
    expect(bench.cpu.halted).toBe(true);
  });
});

describe('steps', () => {
  it('go one instruction at a time, into calls and handlers', () => {
    // call +1 / nop / (target) int3 is not there: ud2
    const bench = new DebugBench();
    bench.load([0xe8, 1, 0, 0, 0, 0x90, 0x0f, 0x0b], 0xff);
    bench.gate(6, CODE + 0x100);
    bench.memory.write(CODE + 0x100, Uint8Array.of(0xf4));
    bench.attach();
    const places: string[] = [];
    for (let i = 0; i < 3; i++) {
      bench.ask('s');
      expect(bench.run()).toMatch(/^T05/);
      places.push(register(bench, EIP) ?? '');
    }
    // The last one ends at the sleeping CPU.
    expect(places).toEqual([CODE + 6, CODE + 0x100, CODE + 0x101].map(hex32));
    expect(bench.cpu.halted).toBe(true);
  });

  it('hold interrupts back', () => {
    // sti / nop / nop / nop
    const bench = new DebugBench();
    bench.load([0xfb, 0x90, 0x90, 0x90, 0xf4], 0x40 * 8 + 7);
    bench.gate(0x40, CODE + 0x100);
    bench.attach();
    bench.cpu.setInterruptRequest(true);
    for (let i = 0; i < 3; i++) {
      bench.ask('s');
      bench.run();
    }
    expect(register(bench, EIP)).toBe(hex32(CODE + 3));
    bench.ask(`Z0,${at(CODE + 0x100)},1`);
    bench.ask('c');
    expect(bench.run()).toMatch(/^T05/);
    expect(register(bench, EIP)).toBe(hex32(CODE + 0x100));
  });

  it('through a repeated string instruction end', () => {
    // mov ecx, 300 / mov edi, ebx / rep stosd / hlt
    const bench = attached([0xb9, 0x2c, 1, 0, 0, 0x89, 0xdf, 0xf3, 0xab, 0xf4]);
    for (let i = 0; i < 400 && register(bench, EIP) !== hex32(CODE + 9); i++) {
      bench.ask('s');
      bench.run();
    }
    expect(register(bench, EIP)).toBe(hex32(CODE + 9));
    expect(bench.cpu.state.gpr(GPR.ecx)).toBe(0);
  });
});

describe('watchpoints', () => {
  /** L: mov [ebx+4], eax / mov ecx, [ebx+8] / inc eax / push eax / pop edx / cmp eax, 3 / jne L / hlt */
  const TOUCHES = [0x89, 0x43, 4, 0x8b, 0x4b, 8, 0x40, 0x50, 0x5a, 0x83, 0xf8, 3, 0x75, 0xf2, 0xf4];

  it('stop right behind the instruction that writes, each time, and say where', () => {
    const bench = attached(TOUCHES);
    expect(bench.ask('Z2,20004,4')).toBe('OK');
    for (let round = 0; round < 3; round++) {
      bench.ask('c');
      expect(bench.run()).toBe('T05watch:20004;thread:1;');
      expect(register(bench, EIP)).toBe(hex32(CODE + 3));
      expect(bench.memory.readU32(0x20004)).toBe(round);
    }
    expect(bench.ask('z2,20004,4')).toBe('OK');
    bench.ask('c');
    expect(bench.run()).toBeUndefined();
    expect(bench.cpu.halted).toBe(true);
    expect(bench.cpu.retired).toBe(3 * 7 + 1);
    expect(bench.cpu.state.get(STATE.dr6)).toBe(0xffff_0ff0 | 0);
  });

  it('tell reads from writes, and watch the stack', () => {
    for (const [packet, place, reply] of [
      ['Z3,20008,1', 6, 'rwatch:20008'],
      ['Z4,20004,8', 3, 'awatch:20004'],
      [`Z2,${at(STACK - 4)},4`, 8, `watch:${at(STACK - 4)}`],
      [`Z3,${at(STACK - 2)},1`, 9, `rwatch:${at(STACK - 2)}`],
    ] as const) {
      const bench = attached(TOUCHES);
      expect(bench.ask(packet)).toBe('OK');
      bench.ask('c');
      expect(bench.run()).toContain(reply);
      expect(register(bench, EIP)).toBe(hex32(CODE + place));
    }
    const bench = attached(TOUCHES);
    // Beside what is touched, in the same page; and reads where only writes are watched.
    for (const packet of ['Z4,2000c,4', 'Z2,20008,4', 'Z3,20004,4']) bench.ask(packet);
    bench.ask('c');
    expect(bench.run()).toBeUndefined();
    expect(bench.cpu.halted).toBe(true);
  });

  it('see what the CPU itself writes for the guest', () => {
    // int 40h pushes EFLAGS, CS and EIP.
    const bench = new DebugBench();
    bench.load([0xcd, 0x40, 0xf4], 0x40 * 8 + 7);
    bench.gate(0x40, CODE + 0x100);
    bench.attach();
    bench.ask(`Z2,${at(STACK - 8)},4`);
    bench.ask('c');
    expect(bench.run()).toContain(`watch:${at(STACK - 8)}`);
    expect(register(bench, EIP)).toBe(hex32(CODE + 0x100));
  });
});

describe('coming and going', () => {
  it('lets the guest run on when GDB detaches or its connection ends', () => {
    for (const leave of [(b: DebugBench) => b.ask('D'), (b: DebugBench) => b.server.disconnect()]) {
      const bench = attached();
      bench.ask(`Z0,${at(TOP)},1`);
      leave(bench);
      expect(bench.running).toBe(true);
      bench.run();
      expect(bench.cpu.halted).toBe(true);
      expect(bench.packets.filter((one) => one.startsWith('T'))).toEqual([]);
    }
  });

  it('ends the machine when GDB kills it', () => {
    const bench = attached();
    bench.ask('k');
    expect(bench.ended).toBe(true);
    const other = attached();
    expect(other.ask('vKill;1')).toBe('OK');
    expect(other.ended).toBe(true);
  });

  it('never breaks on what a client sends', () => {
    const letters = fc.constantFrom(...'?gGpPmMXcCsSvzZqQDkHT!');
    const rest = fc.string({ unit: fc.constantFrom(...'0123456789abcdef,:;=+#$}*xyz'), maxLength: 24 });
    const bench = new DebugBench();
    fc.assert(
      fc.property(fc.array(fc.tuple(letters, rest), { maxLength: 20 }), (packets) => {
        bench.ended = false;
        bench.load(LOOP);
        bench.attach();
        for (const [letter, text] of packets) {
          bench.ask(letter + text);
          if (bench.running) bench.run(100);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('a trace', () => {
  it('lists what was executed, from an address on, for as long as it is wanted', () => {
    const bench = new DebugBench();
    bench.load(LOOP);
    const lines: string[] = [];
    bench.target.traceFrom(TOP, (line) => lines.push(line) < 5);
    bench.running = true;
    bench.run();
    expect(lines).toEqual([
      `00010005  ${'40'.padEnd(22)} inc eax`,
      `00010006  ${'01c2'.padEnd(22)} add edx, eax`,
      `00010008  ${'49'.padEnd(22)} dec ecx`,
      `00010009  ${'75fa'.padEnd(22)} jne 00010005h`,
      `00010005  ${'40'.padEnd(22)} inc eax`,
    ]);
    expect(bench.cpu.halted).toBe(true);
    expect(bench.cpu.state.gpr(GPR.eax)).toBe(1000);
  });
});

describe('a trace of a repeated instruction', () => {
  it('has one line for it', () => {
    // mov ecx, 300 / mov edi, ebx / rep stosd / hlt
    const bench = new DebugBench();
    bench.load([0xb9, 0x2c, 1, 0, 0, 0x89, 0xdf, 0xf3, 0xab, 0xf4]);
    const lines: string[] = [];
    bench.target.traceFrom(undefined, (line) => lines.push(line) > 0);
    bench.running = true;
    bench.run();
    expect(lines.map((line) => line.slice(33))).toEqual(['mov ecx, 12Ch', 'mov edi, ebx', 'rep stosd', 'hlt']);
    expect(bench.cpu.state.gpr(GPR.ecx)).toBe(0);
  });
});

describe('a crash report', () => {
  it('of a triple fault tells registers, code, what led there and who called', () => {
    // call F / hlt / F: mov eax, [F0000000h] / with paging off and no memory that reads; then int 6 with an empty IDT
    const bench = new DebugBench();
    bench.load([0xe8, 1, 0, 0, 0, 0xf4, 0xb8, 0x34, 0x12, 0, 0, 0x0f, 0x0b]);
    bench.running = true;
    bench.run();
    expect(bench.crashes.map(({ kind }) => kind)).toEqual(['triple-fault']);
    const { report } = bench.crashes[0];
    expect(report).toMatch(/^Triple fault/);
    expect(report).toContain('EAX=00001234');
    expect(report).toMatch(/=> 0001000b {2}0f0b +ud2/);
    expect(report).toMatch(/#UD at 0001000b[\s\S]*#DF/);
    expect(report).toMatch(/Return addresses[\s\S]*00010005/);
  });

  it('of an instruction that does not exist is made in the kernel only, and not for UD2', () => {
    for (const [code, expected] of [
      [[0x0f, 0xff], 0],
      [[0x0f, 0x0b], 0],
      [[0x0f, 0x04], 1],
    ] as const) {
      const bench = new DebugBench();
      bench.load([...code, 0xf4], 0xff);
      bench.gate(6, CODE + 0x100);
      bench.memory.write(CODE + 0x100, Uint8Array.of(0xf4));
      bench.running = true;
      bench.run();
      expect(bench.cpu.halted).toBe(true);
      expect(bench.crashes.map(({ kind }) => kind)).toEqual(Array(expected).fill('undefined-instruction'));
    }
  });
});
