/** UEFI's flash as firmware and host see it. */
import { describe, expect, it } from 'vitest';
import { NO_MEDIA } from './config.ts';
import { bench } from './fake-cpu.suite.ts';

const CODE_BYTES = 0x3_7000;
const VARIABLE_BYTES = 0x8000;
const CODE_AT = 0x1_0000_0000 - CODE_BYTES;
const VARIABLES_AT = CODE_AT - VARIABLE_BYTES;

function start() {
  const stored: Uint8Array[] = [];
  // OVMF begins with two NOPs before its jump.
  const system = new Uint8Array(CODE_BYTES).fill(0x5a);
  system.set([0x90, 0x90, 0xe9], CODE_BYTES - 16);
  const variables = new Uint8Array(VARIABLE_BYTES).map((_, i) => i >> 8);
  const b = bench({ firmware: { system, video: null, variables } }, NO_MEDIA, {
    onVariablesChanged: (contents) => void stored.push(contents),
  });
  b.pc.powerOn();
  return { b, stored };
}

describe('UEFI firmware', () => {
  it('lies at the end of 4 GB, its variables below it', () => {
    const { b } = start();
    const { memory } = b.pc;
    expect([memory.readU32(0xffff_fff0) & 0xff_ffff, memory.readSized(CODE_AT, 1)]).toEqual([0xe9_9090, 0x5a]);
    expect([memory.readU16(VARIABLES_AT + 0x1234), memory.readSized(VARIABLES_AT - 1, 1)]).toEqual([0x1212, 0xff]);
    memory.writeSized(CODE_AT, 1, 0x20);
    expect(memory.readSized(CODE_AT, 1)).toBe(0x5a);
  });

  it('stores its variables half a second after it began to write them, and at power-off', () => {
    const { b, stored } = start();
    const write = (value: number): void => {
      for (const command of [0x10, value, 0xff]) b.pc.memory.writeSized(VARIABLES_AT + 7, 1, command);
    };
    write(0x11);
    b.pc.advance(0);
    b.nowMs += 400;
    write(0x22);
    b.pc.advance(0);
    expect(stored).toHaveLength(0);
    b.nowMs += 101;
    b.pc.advance(0);
    b.pc.advance(0);
    expect(stored.map((contents) => contents[7])).toEqual([0x22]);
    write(0x33);
    b.pc.powerOff();
    b.pc.advance(0);
    expect(stored.map((contents) => contents[7])).toEqual([0x22, 0x33]);
  });

  it('keeps them over a reset and in a saved machine', () => {
    const { b } = start();
    for (const command of [0x20, 0xd0]) b.pc.memory.writeSized(VARIABLES_AT + 0x1000, 1, command);
    b.pc.reset();
    b.pc.advance(0);
    expect(b.pc.memory.readSized(VARIABLES_AT + 0x1fff, 1)).toBe(0xff);
    const record = structuredClone(b.pc.save());
    const other = start().b;
    other.pc.restore(record, (ram) => ram.set(b.pc.ram));
    expect(other.pc.memory.readSized(VARIABLES_AT + 0x1fff, 1)).toBe(0xff);
  });

  it('finds the power management block in the tables where it puts it', () => {
    const tables = Buffer.from(start().b.pc.board.fwCfg.file('etc/acpi/tables') ?? []);
    const fadt = tables.indexOf('FACP');
    expect([tables.readUInt32LE(fadt + 56), tables.readUInt32LE(fadt + 76)]).toEqual([0xb000, 0xb008]);
  });

  it('finds the drives without switching on their decoding, as it does not', () => {
    const open = (b: ReturnType<typeof bench>): boolean => {
      b.pc.board.ide.writeConfig(4, 2, 1);
      return b.pc.board.ports.read(0x1f7, 1) !== 0xff;
    };
    expect([open(start().b), open(bench({}))]).toEqual([true, false]);
  });

  it('is refused without its code', () => {
    expect(() => bench({ firmware: { system: null, video: null, variables: new Uint8Array(4096) } })).toThrow(
      expect.objectContaining({ code: 'bad-config' }),
    );
  });
});
