import { beforeEach, describe, expect, it } from 'vitest';
import { SEG, STATE } from '../state/layout.ts';
import { CpuBench, SEL } from '../system/cpu-bench.suite.ts';
import { RowRunner } from './row-runner.suite.ts';
import { systemRows } from './system-rows.ts';

let cpu: CpuBench;
let runner: RowRunner;
beforeEach(() => {
  cpu = new CpuBench();
  cpu.enterProtectedMode();
  cpu.at(0x5000, 0x5002);
  runner = new RowRunner(cpu);
});
const run = (opcode: string, options: Parameters<RowRunner['run']>[1] = {}): unknown => {
  const row = systemRows.find((r) => r.opcode === opcode);
  if (!row) throw new Error(`no row ${opcode}`);
  return runner.run(row, options);
};
const GP0 = [13, 0];

describe('system rows', () => {
  it('are written in the notation, each encoding once', () => {
    const notation =
      /^(?:(?:NP|66|F3|F2) )?(?:0F (?:38 |3A )?)?[0-9A-F]{2}(?: \+r)?(?: \/[0-7])?(?: [rm])?(?: [0-9A-F]{2})?$/;
    for (const r of systemRows) expect(r.opcode).toMatch(notation);
    expect(new Set(systemRows.map((r) => r.opcode)).size).toBe(systemRows.length);
  });

  it('all build, in both operand sizes', () => {
    for (const r of systemRows.filter(({ options }) => !options.only64)) {
      for (const size of [16, 32] as const) expect(() => runner.build(r, { size })).not.toThrow();
    }
  });
});

describe('CLI, STI, PUSHF', () => {
  it('need CPL <= IOPL', () => {
    expect(run('FA')).toBe('ok');
    expect(cpu.state.eflags & 0x200).toBe(0);
    cpu.enterUser();
    expect(run('FA')).toEqual(GP0);
    expect(run('FB')).toEqual(GP0);
    cpu.state.eflags = 0x3202;
    expect(run('FA')).toBe('ok');
    expect(cpu.state.eflags).toBe(0x3002);
  });

  it('STI throws a shadow over one instruction, when IF was clear', () => {
    cpu.state.eflags = 0x202;
    run('FB');
    expect(cpu.state.get(STATE.inhibitEip)).toBe(-1);
    cpu.state.eflags = 2;
    run('FB');
    expect(cpu.state.get(STATE.inhibitEip)).toBe(0x5002);
    expect(cpu.state.eflags).toBe(0x202);
  });

  it('PUSHF hides VM and RF, and is sensitive in virtual-8086 mode', () => {
    cpu.state.eflags = 0x1_4ed7;
    run('9C', { size: 32 });
    expect(cpu.stack32(1)).toEqual([0x4ed7]);
    run('9C', { size: 16 });
    expect([cpu.esp, cpu.get16(0x7ffa)]).toEqual([0x7ffa, 0x4ed7]);
    cpu.state.eflags = 2;
    cpu.enterVirtual();
    expect(run('9C', { size: 16 })).toEqual(GP0);
    cpu.state.eflags |= 0x3000;
    expect(run('9C', { size: 16, stack32: false })).toBe('ok');
    expect([cpu.esp, cpu.get16(0x207fe)]).toEqual([0x7fe, 0x3202]);
  });
});

describe('segment registers', () => {
  it('are pushed zero-extended, and wrap on a 16-bit stack', () => {
    run('1E', { size: 32 });
    expect(cpu.stack32(1)).toEqual([SEL.data0]);
    cpu.state.setGpr(4, 0xabcd_0000 | 0);
    cpu.put16(0xfffe, 0);
    run('0F A8', { size: 16, stack32: false });
    expect([cpu.esp, cpu.get16(0xfffe)]).toEqual([0xabcd_fffe, SEL.data0]);
  });

  it('are moved both ways', () => {
    expect(run('8E /4', { operands: [0, SEL.data3] })).toBe('ok');
    expect(cpu.selector(SEG.fs)).toBe(SEL.data3);
    run('8C /4 r');
    expect(runner.operand(0)).toBe(SEL.data3);
    expect(systemRows.some((r) => r.opcode === '8E /1')).toBe(false);
  });

  it('come from far pointers, register last', () => {
    cpu.put32(0x7000, 0x1234_5678, SEL.data3);
    expect(run('0F B4 m', { size: 32, memory: 0x7000, slot: cpu.state.at + STATE.gpr + 3 * 8 })).toBe('ok');
    expect([cpu.selector(SEG.fs), cpu.state.gpr(3)]).toEqual([SEL.data3, 0x1234_5678]);
    cpu.put16(0x7000, 0xabcd, 0x99);
    expect(run('0F B4 m', { size: 16, memory: 0x7000, slot: cpu.state.at + STATE.gpr + 3 * 8 })).toEqual([13, 0x98]);
    expect(cpu.state.gpr(3)).toBe(0x1234_5678);
  });
});

describe('far transfers', () => {
  it('take pointers from memory and from the instruction', () => {
    cpu.put32(0x7000, 0x6000, SEL.code0);
    expect(run('FF /3 m', { size: 32, memory: 0x7000 })).toBe('jumped');
    expect([cpu.eip, cpu.stack32(2)]).toEqual([0x6000, [0x5002, SEL.code0]]);
    expect(run('EA', { size: 32, operands: [0x6100, SEL.code0] })).toBe('jumped');
    expect(cpu.eip).toBe(0x6100);
  });
});

describe('tables and control registers', () => {
  it('SGDT writes what LGDT read; 16-bit operands cut the base', () => {
    cpu.put16(0x7000, 0x7f, 0x3456, 0x9a12);
    expect(run('0F 01 /2 m', { size: 32, memory: 0x7000 })).toBe('ok');
    run('0F 01 /0 m', { size: 32, memory: 0x7010 });
    expect([cpu.get16(0x7010), cpu.get32(0x7012)]).toEqual([0x7f, 0x9a12_3456]);
    run('0F 01 /2 m', { size: 16, memory: 0x7000 });
    expect(cpu.state.get(STATE.gdtBase)).toBe(0x12_3456);
    cpu.enterProtectedMode();
    cpu.enterUser();
    expect(run('0F 01 /2 m', { size: 32, memory: 0x7000 })).toEqual(GP0);
  });

  it('read control registers at level 0 only', () => {
    run('0F 20 /0');
    expect(runner.operand(0)).toBe(0x11);
    cpu.enterUser();
    expect(run('0F 20 /0')).toEqual(GP0);
    expect(run('0F 01 /4 r')).toBe('ok');
  });

  it('know no tasks in real and virtual-8086 mode', () => {
    run('0F 00 /1 r');
    expect(runner.operand(0)).toBe(SEL.tss);
    cpu.enterVirtual();
    for (const opcode of ['0F 00 /0 r', '0F 00 /2', '0F 00 /4', '0F 02', '63']) expect(run(opcode)).toBe(6);
    cpu.system.reset();
    expect(run('0F 00 /1 m')).toBe(6);
  });

  it('LAR writes only what it may see', () => {
    run('0F 02', { operands: [77, 0x100] });
    expect(runner.operand(0)).toBe(77);
    run('0F 02', { operands: [77, SEL.code3] });
    expect(runner.operand(0)).toBe(0x00c0_fa00);
  });
});

describe('ARPL and BOUND', () => {
  it('ARPL raises the RPL and says so in ZF', () => {
    cpu.state.eflags = 0x893;
    run('63', { operands: [0x40, 0x1b] });
    expect([runner.operand(0), cpu.state.eflags]).toEqual([0x43, 0x8d3]);
    run('63', { operands: [0x43, 0x1a] });
    expect([runner.operand(0), cpu.state.eflags]).toEqual([0x43, 0x893]);
  });

  it('BOUND compares signed', () => {
    cpu.put32(0x7000, -5, 10);
    for (const [index, fault] of [
      [-5, 'ok'],
      [10, 'ok'],
      [-6, 5],
      [11, 5],
    ]) {
      expect(run('62 m', { size: 32, operands: [Number(index), 0], memory: 0x7000 })).toBe(fault);
    }
    cpu.put16(0x7000, -5, 10);
    expect(run('62 m', { size: 16, operands: [0xfffb, 0], memory: 0x7000 })).toBe('ok');
    expect(run('62 m', { size: 16, operands: [0xfff0, 0], memory: 0x7000 })).toBe(5);
  });
});

describe('ports', () => {
  it('move AL and eAX', () => {
    const written: string[] = [];
    cpu.ports.map(
      0x80,
      4,
      { read: () => 0x1234_5678, write: (o, w, v) => written.push(`${o}/${w}=${v.toString(16)}`) },
      { maxWidth: 4 },
    );
    run('E5', { size: 32, operands: [0, 0x80] });
    expect(runner.operand(0)).toBe(0x1234_5678);
    run('E6', { operands: [0x81, 0x1ff] });
    run('EF', { size: 16, operands: [0x82, 0x1_beef] });
    expect(written).toEqual(['1/1=ff', '2/2=beef']);
    cpu.enterUser();
    expect(run('EC', { operands: [0, 0x80] })).toBe('ok');
    cpu.physical.writeSized(0x3068 + 0x10, 1, 1);
    expect(run('EC', { operands: [0, 0x80] })).toEqual(GP0);
  });

  it('strings pass their address size and repeat prefix', () => {
    cpu.ports.map(0x80, 1, { read: () => 0x5a, write: () => {} });
    cpu.state.setGpr(1, 0x1_0003);
    cpu.state.setGpr(2, 0x80);
    cpu.state.setGpr(7, 0x1_7000);
    expect(run('6C', { rep: 'rep', address32: false })).toBe('ok');
    expect([cpu.state.gpr(1), cpu.state.gpr(7)]).toEqual([0x1_0000, 0x1_7003]);
    expect(cpu.get32(0x7000)).toBe(0x5a_5a5a);
  });
});
