import { describe, expect, test } from 'vitest';
import { IoBus } from '#emu/bus/io-bus.ts';
import { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { Cpu, type CpuEntry } from './cpu.ts';
import { GPR, LINEAR, SEG, STATE } from './state/layout.ts';
import { testedTier } from './tier.suite.ts';
import { createLinearMemory } from './wasm/host.ts';

const RAM_BYTES = 4 << 20;
const CODE = 0x10000;

const flat = (selector: number, attributes: number): CpuEntry['cs'] => ({
  selector,
  base: 0,
  limit: 0xffff_ffff,
  attributes,
});

/** A CPU with 4 MB of RAM; `out` to port 0x10 collects bytes. */
function bench(): { cpu: Cpu; memory: PhysicalMemory; out: number[]; start(code: readonly number[]): void } {
  const linear = createLinearMemory(LINEAR.guest + RAM_BYTES);
  const memory = new PhysicalMemory({
    buffer: linear.buffer,
    pageMapAt: LINEAR.pageMap,
    dirtyMapAt: LINEAR.dirtyMap,
  });
  memory.mapBacked(0, RAM_BYTES, LINEAR.guest, 'ram');
  const ports = new IoBus();
  const out: number[] = [];
  ports.map(0x10, 1, { read: () => 0x5a, write: (_offset, _width, value) => out.push(value) });
  const cpu: Cpu = new Cpu({
    ...testedTier,
    linear,
    physical: memory,
    ports,
    interrupts: {
      acknowledge: () => {
        cpu.setInterruptRequest(false);
        return 0x40;
      },
    },
    tsc: () => 0,
  });
  return {
    cpu,
    memory,
    out,
    start(code) {
      memory.write(CODE, Uint8Array.from(code));
      cpu.enter({
        eip: CODE,
        registers: { eax: 0, ebx: 0x20000, ecx: 0, edx: 0, esp: 0x30000, ebp: 0, esi: 0, edi: 0 },
        eflags: 2,
        cr0: 0x11,
        gdt: { base: 0x1000, limit: 0xff },
        idt: { base: 0, limit: 0 },
        cs: flat(8, 0xcf9b),
        data: flat(16, 0xcf93),
      });
    },
  };
}

describe('a virtual CPU', () => {
  test('runs a loop with memory operands to HLT', () => {
    const { cpu, memory, start } = bench();
    // mov ecx, 1000 / L: add eax, 3 / mov [ebx], eax / add edx, [ebx] / dec ecx / jnz L / hlt
    start([0xb9, 0xe8, 3, 0, 0, 0x83, 0xc0, 3, 0x89, 3, 3, 0x13, 0x49, 0x75, 0xf6, 0xf4]);
    expect(cpu.run(1_000_000)).toBe('halt');
    expect(cpu.state.gpr(GPR.eax)).toBe(3000);
    expect(cpu.state.gpr(GPR.edx)).toBe((3 * 1000 * 1001) / 2);
    expect(memory.readU32(0x20000)).toBe(3000);
    expect(cpu.retired).toBe(1 + 5 * 1000 + 1);
  });

  test('calls, returns, pushes and pops', () => {
    const { cpu, start } = bench();
    // push 5 / call +1 / hlt / pop ebx / pop ecx / push ecx / push ebx / inc ecx / ret
    start([0x6a, 5, 0xe8, 1, 0, 0, 0, 0xf4, 0x5b, 0x59, 0x51, 0x53, 0x41, 0xc3]);
    expect(cpu.run(100)).toBe('halt');
    expect(cpu.state.gpr(GPR.ecx)).toBe(6);
    expect(cpu.state.gpr(GPR.ebx)).toBe(CODE + 7);
    expect(cpu.state.gpr(GPR.esp)).toBe(0x30000 - 4);
  });

  test('executes what it has just written, in the running block too', () => {
    const { cpu, start } = bench();
    // mov byte [CODE + 8], 0x42 (inc edx) / nop / inc ecx (overwritten) / hlt
    start([0xc6, 0x05, 8, 0, 1, 0, 0x42, 0x90, 0x41, 0xf4]);
    expect(cpu.run(100)).toBe('halt');
    expect(cpu.state.gpr(GPR.edx)).toBe(1);
    expect(cpu.state.gpr(GPR.ecx)).toBe(0);
  });

  test('a loop that rewrites its own immediate sees every value', () => {
    const { cpu, start } = bench();
    // mov ecx, 50 / L: add eax, imm32 (at CODE + 6) / inc dword [CODE + 6] / dec ecx / jnz L / hlt
    start([0xb9, 50, 0, 0, 0, 0x05, 0, 0, 0, 0, 0xff, 0x05, 6, 0, 1, 0, 0x49, 0x75, 0xf2, 0xf4]);
    expect(cpu.run(10_000)).toBe('halt');
    expect(cpu.state.gpr(GPR.eax)).toBe((49 * 50) / 2);
  });

  test('device stores into code are seen', () => {
    const { cpu, memory, start } = bench();
    // L: inc eax / out 0x10, al / jmp L
    start([0x40, 0xe6, 0x10, 0xeb, 0xfb]);
    cpu.run(300);
    memory.write(CODE, Uint8Array.of(0xf4));
    expect(cpu.run(300)).toBe('halt');
  });

  test('ports are read and written', () => {
    const { cpu, out, start } = bench();
    // in al, 0x10 / inc al / out 0x10, al / hlt
    start([0xe4, 0x10, 0xfe, 0xc0, 0xe6, 0x10, 0xf4]);
    expect(cpu.run(100)).toBe('halt');
    expect(out).toEqual([0x5b]);
  });

  test('an instruction across a page boundary runs, and is decoded anew when its second page changes', () => {
    const { cpu, memory, start } = bench();
    // at CODE + 0xffe: mov eax, imm32 (5 bytes), hlt
    start([0xe9, 0xf9, 0x0f, 0, 0]);
    memory.write(CODE + 0xffe, Uint8Array.of(0xb8, 0x78, 0x56, 0x34, 0x12, 0xf4));
    expect(cpu.run(100)).toBe('halt');
    expect(cpu.state.gpr(GPR.eax)).toBe(0x12345678);
    memory.write(CODE + 0x1000, Uint8Array.of(0x57));
    cpu.state.set(STATE.halted, 0);
    cpu.state.set(STATE.eip, CODE);
    expect(cpu.run(100)).toBe('halt');
    expect(cpu.state.gpr(GPR.eax)).toBe(0x12345778);
  });

  test('a triple fault shuts down', () => {
    const { cpu, start } = bench();
    start([0x0f, 0x0b]);
    expect(cpu.run(100)).toBe('shutdown');
  });

  test('real mode computes segmented addresses and checks limits', () => {
    const { cpu, memory } = bench();
    // IVT entry 13 -> 0000:0600 (hlt); code at 0x7c00: mov ax, [0xffff] (crosses the limit)
    memory.write(13 * 4, Uint8Array.of(0, 6, 0, 0));
    memory.write(0x600, Uint8Array.of(0xf4));
    memory.write(0x7c00, Uint8Array.of(0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xa0, 0x10, 0x00, 0xa1, 0xff, 0xff));
    memory.write(0x20010, Uint8Array.of(0x77));
    cpu.reset();
    for (const seg of [SEG.cs, SEG.ss]) cpu.system.loadRealSegment(seg, 0);
    cpu.state.setGpr(GPR.esp, 0x7000);
    cpu.state.set(STATE.eip, 0x7c00);
    expect(cpu.run(100)).toBe('halt');
    expect(cpu.state.gpr(GPR.eax) & 0xff).toBe(0x77);
    expect(cpu.state.get(STATE.eip)).toBe(0x601);
    expect(memory.readU16(0x7000 - 6)).toBe(0x7c08);
  });

  test('interrupts wait for the instruction after STI', () => {
    const { cpu, memory, start } = bench();
    // IDT entry 0x40 -> CODE + 0x100 (hlt), interrupt gate
    memory.write(8, new Uint8Array(8));
    memory.write(0x1000 + 8, Uint8Array.of(0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0));
    memory.write(0x2000 + 0x40 * 8, Uint8Array.of(0, 1, 8, 0, 0, 0x8e, 1, 0));
    memory.write(CODE + 0x100, Uint8Array.of(0xf4));
    // sti / inc eax / inc eax / hlt
    start([0xfb, 0x40, 0x40, 0xf4]);
    cpu.state.set(STATE.idtBase, 0x2000);
    cpu.state.set(STATE.idtLimit, 0x7ff);
    cpu.setInterruptRequest(true);
    expect(cpu.run(100)).toBe('halt');
    expect(cpu.state.gpr(GPR.eax)).toBe(1);
    expect(cpu.state.get(STATE.eip)).toBe(CODE + 0x101);
  });

  test('an interrupt between a branch and its target is not taken for the target, wherever its handler is', () => {
    const { cpu, memory, start } = bench();
    // IDT entry 0x40 -> a handler at the offset that L has in its page: inc edx / iret
    const handler = CODE + 0x1080;
    memory.write(0x1000 + 8, Uint8Array.of(0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0));
    memory.write(
      0x2000 + 0x40 * 8,
      Uint8Array.of(handler & 0xff, (handler >> 8) & 0xff, 8, 0, 0, 0x8e, handler >> 16, 0),
    );
    memory.write(handler, Uint8Array.of(0x42, 0xcf));
    // L: dec ecx / jnz M / hlt
    memory.write(CODE + 0x80, Uint8Array.of(0x49, 0x0f, 0x85, 0xb9, 0xff, 0xff, 0xff, 0xf4));
    // M: inc eax / jmp L
    memory.write(CODE + 0x40, Uint8Array.of(0x40, 0xe9, 0x3a, 0, 0, 0));
    // mov ecx, 20 / jmp M
    start([0xb9, 20, 0, 0, 0, 0xe9, 0x36, 0, 0, 0]);
    cpu.state.set(STATE.idtBase, 0x2000);
    cpu.state.set(STATE.idtLimit, 0x7ff);
    cpu.state.eflags |= 0x200;
    let interrupts = 0;
    // A block at a time, until the branches have been chained.
    while (cpu.run(interrupts < 8 ? 0 : 1000) === 'budget') {
      cpu.setInterruptRequest(true);
      interrupts++;
      cpu.run(0);
    }
    expect(cpu.state.gpr(GPR.eax)).toBe(20);
    expect(cpu.state.gpr(GPR.edx)).toBe(interrupts);
    expect(interrupts).toBeGreaterThan(5);
  });

  test('a segment register follows its descriptor, however often the same selector is loaded', () => {
    const { cpu, memory, start } = bench();
    const gdt = 0x1000;
    memory.write(gdt + 0x10, Uint8Array.of(0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0));
    // 18h: data at 20000h, which the program makes 21000h and back
    memory.write(gdt + 0x18, Uint8Array.of(0xff, 0xff, 0, 0, 2, 0x93, 0xcf, 0));
    memory.write(0x20000, Uint8Array.of(1));
    memory.write(0x21000, Uint8Array.of(100));
    const code = [
      ...[0xb9, 0x20, 0x4e, 0, 0], // mov ecx, 20000
      ...[0xb8, 0x10, 0, 0, 0, 0x8e, 0xd8], // L: mov eax, 10h; mov ds, eax
      ...[0xb8, 0x18, 0, 0, 0, 0x8e, 0xe0], // mov eax, 18h; mov fs, eax
      ...[0x0f, 0xa0, 0x64, 0x03, 0x35, 0, 0, 0, 0], // push fs; add esi, fs:[0]
      ...[0x31, 0xc0, 0x8e, 0xe0], // xor eax, eax; mov fs, eax
      ...[0x0f, 0xa1, 0x64, 0x03, 0x3d, 0, 0, 0, 0], // pop fs; add edi, fs:[0]
      ...[0x80, 0x35, 0x1b, 0x10, 0, 0, 0x10], // xor byte [gdt + 1bh], 10h
      ...[0x49, 0x75, 0xd2, 0xf4], // dec ecx; jnz L; hlt
    ];
    start(code);
    expect(cpu.run(10_000_000)).toBe('halt');
    expect(cpu.state.gpr(GPR.esi)).toBe(10_000 * 101);
    expect(cpu.state.gpr(GPR.edi)).toBe(10_000 * 101);
    expect(cpu.state.selector(SEG.fs)).toBe(0x18);

    // A descriptor that is not there any more is a fault, here with no handler.
    start([
      0xb9, 0x30, 0x75, 0, 0, 0xb8, 0x18, 0, 0, 0, 0x8e, 0xe0, 0x49, 0x75, 0xf6, 0x80, 0x35, 0x1d, 0x10, 0, 0, 0x80,
    ]);
    memory.write(CODE + 22, Uint8Array.of(0x8e, 0xe0, 0xf4));
    expect(cpu.run(10_000_000)).toBe('shutdown');
  });

  test('goes on in another CPU from its saved state', () => {
    const first = bench();
    // L: inc eax / cmp eax, 5000 / jb L / hlt
    const code = [0x40, 0x3d, 0x88, 0x13, 0, 0, 0x72, 0xf8, 0xf4];
    first.start(code);
    expect(first.cpu.run(1000)).toBe('budget');
    const second = bench();
    second.memory.write(CODE, Uint8Array.from(code));
    second.cpu.restore(first.cpu.save());
    expect(second.cpu.run(100_000)).toBe('halt');
    expect(second.cpu.state.gpr(GPR.eax)).toBe(5000);
  });

  test('refuses the state of a program that lays it out otherwise', () => {
    const { cpu, start } = bench();
    start([0x40, 0xf4]);
    const saved = cpu.save();
    expect(() => cpu.restore({ ...saved, layout: saved.layout ^ 1 })).toThrow(/another version/);
    expect(cpu.run(100)).toBe('halt');
    expect(cpu.state.gpr(GPR.eax)).toBe(1);
  });
});
