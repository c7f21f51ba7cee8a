/** When AVX instructions are there, what they do to the upper halves, and the state that XSAVE keeps. Results: test/cpu. */
import { describe, expect, it } from 'vitest';
import { STATE, XMM_BYTES } from '../state/layout.ts';
import { IntegerBench } from './integer-bench.suite.ts';

const bench = new IntegerBench();
const [UD, NM, GP] = [6, 7, 13] as const;
/** MOV EAX, n. */
const eax = (n: number): string =>
  `B8${[0, 8, 16, 24].map((shift) => ((n >>> shift) & 255).toString(16).padStart(2, '0')).join('')}`;
const cr4 = (n: number): string => `${eax(n)} 0F22E0`;
const xcr0 = (n: number): string => `31C9 31D2 ${eax(n)} 0F01D1`;
const OSXSAVE = 0x40000;
const ON = `${cr4(OSXSAVE | 0x600)} ${xcr0(7)}`;
const VADDPS = 'C5FC58C0';

const ymm = (n: number): bigint[] => {
  const { view } = bench.cpu.state;
  return [0, 8, 16, 24].map((at) => view.getBigUint64(STATE.xmm + n * XMM_BYTES + at, true));
};
/** VMOVUPS YMMn, [8800h]: a value in every quadword, put there before. */
const load = (n: number): string => `BB00880000 C5FC10${((n << 3) | 3).toString(16).padStart(2, '0')}`;
const setQuadwords = (value: number): void => bench.put32(0x8800, value, 0, value, 0, value, 0, value, 0);

describe('AVX', () => {
  it('is undefined until the operating system has enabled it', () => {
    expect(bench.run(`${cr4(0x600)} ${VADDPS}`).fault).toBe(UD);
    expect(bench.run(`${cr4(OSXSAVE | 0x600)} ${xcr0(3)} ${VADDPS}`).fault).toBe(UD);
    expect(bench.run(`${ON} ${VADDPS}`).fault).toBeUndefined();
    // CR4.OSFXSR does not matter, CR0.TS does.
    expect(bench.run(`${cr4(OSXSAVE)} ${xcr0(7)} ${VADDPS}`).fault).toBeUndefined();
    expect(bench.run(`${ON} 0F20C0 0C08 0F22C0 ${VADDPS}`).fault).toBe(NM);
  });

  it('is undefined after a prefix that VEX holds itself', () => {
    for (const prefix of ['66', 'F2', 'F3', 'F0']) expect(bench.run(`${ON} ${prefix} ${VADDPS}`).fault).toBe(UD);
  });

  it('clears upper halves where legacy instructions keep them', () => {
    setQuadwords(5);
    // PADDD, VPADDD, then the two VZERO instructions.
    expect(bench.run(`${ON} ${load(1)} 660FFEC9`).fault).toBeUndefined();
    expect(ymm(1)).toEqual([0xan, 0xan, 5n, 5n]);
    bench.run(`${ON} ${load(1)} C5F1FEC9`);
    expect(ymm(1)).toEqual([0xan, 0xan, 0n, 0n]);
    bench.run(`${ON} ${load(0)} ${load(7)} C5F877`);
    for (const n of [0, 7]) expect(ymm(n)).toEqual([5n, 5n, 0n, 0n]);
    bench.run(`${ON} ${load(0)} ${load(7)} C5FC77`);
    for (const n of [0, 7]) expect(ymm(n)).toEqual([0n, 0n, 0n, 0n]);
  });

  it('wants aligned memory in VMOVAPS alone', () => {
    // VMOVAPS and VMOVUPS ymm0, [ebx+10h].
    expect(bench.run(`${ON} BB00800000 C5FC284310`).fault).toBe(GP);
    expect(bench.run(`${ON} BB10800000 C5FC284310`).fault).toBeUndefined();
    expect(bench.run(`${ON} BB00800000 C5FC104311`).fault).toBeUndefined();
  });
});

describe('masked accesses', () => {
  const TABLE = 0x8900;
  const SMALL = 0x9000;
  // LGDT [8900h]; FS has 16 bytes from 9000h.
  const FS = `0F011500890000 B818000000 8EE0`;
  const SIGN = 0x8000_0000;
  /** Vectors that are loaded into XMM0 to XMM2. */
  const given = (...vectors: number[][]): string => {
    vectors.forEach((v, n) => {
      bench.put32(0x8800 + n * 16, ...v);
    });
    // VMOVDQU XMMn, [8800h + 16n].
    return vectors.map((_, n) => `C5FA6F${(n * 8 + 5).toString(16).padStart(2, '0')}${n}0880000`).join(' ');
  };
  const setUp = (...vectors: number[][]): string => {
    bench.put32(TABLE, 0x1f | ((TABLE + 8) << 16), 0);
    bench.put32(TABLE + 8, 0, 0, 0xffff, 0x00cf_9a00, 0xffff, 0x00cf_9200, (SMALL << 16) | 15, 0x0040_9200);
    bench.put32(SMALL, 1, 2, 3, 4, 5, 6, 7, 8);
    return `${ON} ${given(...vectors)} ${FS}`;
  };
  const memory = (): number[] => [0, 4, 8, 12, 16, 20].map((at) => bench.get32(SMALL + at));
  const at = (ebx: number): { ebx: number } => ({ ebx });

  it('check the segment where the mask is set', () => {
    // VMASKMOVPS xmm0, xmm1, fs:[ebx], and back.
    const load = '64 C4E2712C03';
    const store = '64 C4E2712E03';
    const half = setUp([9, 10, 11, 12], [SIGN, SIGN, 0, 0]);
    expect(bench.run(`${half} ${load}`, at(8)).fault).toBeUndefined();
    expect(ymm(0)).toEqual([0x4_0000_0003n, 0n, 0n, 0n]);
    expect(bench.run(`${half} ${load}`, at(12)).fault).toBe(GP);
    expect(bench.run(`${half} ${store}`, at(12)).fault).toBe(GP);
    expect(memory()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(bench.run(`${half} ${store}`, at(8)).fault).toBeUndefined();
    expect(memory()).toEqual([1, 2, 9, 10, 5, 6]);
    const none = setUp([9, 10, 11, 12], [1, 2, 3, 4]);
    for (const code of [load, store]) expect(bench.run(`${none} ${code}`, at(0x100)).fault).toBeUndefined();
  });

  it('check the segment for each element of a gather, and keep those before', () => {
    // VGATHERDPS xmm0, fs:[ebx+xmm2], xmm1.
    const gather = '64 C4E271920413';
    const all = [SIGN, SIGN, SIGN, SIGN];
    const inside = setUp([9, 10, 11, 12], all, [12, 8, 4, 0]);
    expect(bench.run(`${inside} ${gather}`).fault).toBeUndefined();
    expect(ymm(0)).toEqual([0x3_0000_0004n, 0x1_0000_0002n, 0n, 0n]);
    const beyond = setUp([9, 10, 11, 12], all, [12, 8, 13, 0]);
    expect(bench.run(`${beyond} ${gather}`).fault).toBe(GP);
    expect(ymm(0).slice(0, 2)).toEqual([0x3_0000_0004n, 0xc_0000_000bn]);
    expect(ymm(1).slice(0, 2)).toEqual([0n, 0xffff_ffff_ffff_ffffn]);
    const skipped = setUp([9, 10, 11, 12], [SIGN, SIGN, 0, SIGN], [12, 8, 13, 0]);
    expect(bench.run(`${skipped} ${gather}`).fault).toBeUndefined();
    expect(ymm(0).slice(0, 2)).toEqual([0x3_0000_0004n, 0x1_0000_000bn]);
  });

  it('check the segment for the components that XSAVE and XRSTOR are asked for', () => {
    const on = setUp();
    // As much as x87 and SSE state need.
    bench.put32(TABLE + 8 + 24, (SMALL << 16) | 575);
    for (const code of ['64 0FAE23', '64 0FAE2B']) {
      expect(bench.run(`${on} ${eax(3)} 31D2 ${code}`).fault).toBeUndefined();
      expect(bench.run(`${on} ${eax(7)} 31D2 ${code}`).fault).toBe(GP);
      expect(bench.run(`${on} ${eax(3)} 31D2 ${code}`, at(64)).fault).toBe(GP);
    }
  });
});

describe('XCR0', () => {
  it('is written with what can be', () => {
    for (const [value, fault] of [
      [7, undefined],
      [3, undefined],
      [1, undefined],
      [0, GP],
      [5, GP],
      [0xf, GP],
    ] as const)
      expect({ value, fault: bench.run(`${cr4(OSXSAVE)} ${xcr0(value)}`).fault }).toEqual({ value, fault });
    expect(bench.run(`${cr4(0)} ${xcr0(7)}`).fault).toBe(UD);
    expect(bench.run(`${cr4(OSXSAVE)} B901000000 31D2 ${eax(7)} 0F01D1`).fault).toBe(GP);
    expect(bench.run(`${cr4(OSXSAVE)} B901000000 0F01D0`).fault).toBe(GP);
  });

  it('shows in CPUID with CR4.OSXSAVE', () => {
    const osxsave = `${eax(1)} 0FA2 89C8 2500000008`;
    expect(bench.run(`${cr4(0)} ${osxsave}`).eax).toBe(0);
    expect(bench.run(`${ON} ${osxsave}`).eax).toBe(0x0800_0000);
    // Leaf 0Dh: what there is, the bytes of what is enabled, and of all.
    const leaf = (value: number) => bench.run(`${cr4(OSXSAVE)} ${xcr0(value)} ${eax(13)} 31C9 0FA2`);
    expect(leaf(3)).toMatchObject({ eax: 7, ebx: 576, ecx: 832, edx: 0 });
    expect(leaf(7)).toMatchObject({ eax: 7, ebx: 832, ecx: 832, edx: 0 });
    expect(bench.run(`${eax(13)} B902000000 0FA2`)).toMatchObject({ eax: 256, ebx: 576, ecx: 0, edx: 0 });
  });
});

describe('XSAVE and XRSTOR', () => {
  const AREA = 0x9000;
  const at = 'BB00900000';
  const clear = (): void => bench.put(AREA, ...new Array<number>(832).fill(0));

  it('carry what EDX:EAX asks for and XCR0 has', () => {
    clear();
    setQuadwords(0x1234);
    expect(bench.run(`${ON} ${load(2)} D9E8 ${at} ${eax(7)} 31D2 0FAE23`).fault).toBeUndefined();
    expect(bench.get32(AREA + 512)).toBe(7);
    expect(bench.get32(AREA + 576 + 32)).toBe(0x1234);
    setQuadwords(1);
    // AVX state alone.
    bench.run(`${ON} ${load(2)} ${at} ${eax(4)} 31D2 0FAE2B`);
    expect(ymm(2)).toEqual([1n, 1n, 0x1234n, 0x1234n]);
    // What the header says is not there becomes what it is after reset.
    bench.put32(AREA + 512, 3);
    bench.run(`${ON} ${load(2)} ${at} ${eax(7)} 31D2 0FAE2B`);
    expect(ymm(2)).toEqual([0x1234n, 0x1234n, 0n, 0n]);
    // FLD1 had been executed.
    expect(bench.run(`${ON} ${at} ${eax(1)} 31D2 0FAE2B 83EC04 DB1C24 58`).eax).toBe(1);
  });

  it('fault on wrong areas', () => {
    clear();
    const restore = `${ON} ${at} ${eax(7)} 31D2 0FAE2B`;
    expect(bench.run(restore).fault).toBeUndefined();
    for (const offset of [512, 520, 528]) {
      clear();
      bench.put32(AREA + offset, 8);
      expect(bench.run(restore).fault).toBe(GP);
    }
    expect(bench.run(`${ON} BB20900000 ${eax(7)} 31D2 0FAE23`).fault).toBe(GP);
    expect(bench.run(`${cr4(0)} ${at} ${eax(7)} 31D2 0FAE23`).fault).toBe(UD);
  });
});
