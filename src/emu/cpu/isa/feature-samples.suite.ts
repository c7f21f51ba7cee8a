/** For each CPUID bit that the CPU announces, what exercises it. test/cpu/announced-features.test.ts asks for every one. */
/** CR4.OSFXSR and OSXMMEXCPT. */
const SSE_ON = '0F20E0 0D00060000 0F22E0';

/** CR4.OSXSAVE too, and XCR0 = 7. */
const AVX_ON = '0F20E0 0D00060400 0F22E0 31C9 31D2 B807000000 0F01D1';

/** Code with a result in EAX, or the test of the bit: file and name. */
export type Sample = readonly [code: string, eax: number] | string;
/** By word of CPUID and bit. */
export const SAMPLES: Readonly<Record<string, Readonly<Record<number, Sample>>>> = {
  '1.ecx': {
    0: [`${SSE_ON} 0F57C0 F20F7CC0 660F7EC0`, 0],
    1: [`${SSE_ON} B803000000 660F6EC0 660F3A44C000 660F7EC0`, 5],
    3: ['B9A0010000 0F32 0D00000400 0F30 31C9 31D2 B800800000 0F01C8', 0x8000],
    9: [`${SSE_ON} B8FFFFFFFF 660F6EC0 660F381EC0 660F7EC0`, 1],
    12: [`${AVX_ON} B800004040 C5F96EC0 C4E279A9C0 C5F97EC0`, 0x4140_0000],
    13: 'cpu/long-mode.test.ts: CMPXCHG16B',
    17: 'cpu/system/long-mode.test.ts: process-context identifiers',
    19: [`${SSE_ON} B880000000 660F6EC0 660F3821C0 660F7EC0`, 0xffff_ff80],
    20: ['B800000000 B901000000 F20F38F1C1', 0xdd45_aab8],
    22: ['BB00800000 C70344332211 0F38F003', 0x4433_2211],
    23: ['B9F0F00000 F30FB8C1', 8],
    25: [`${SSE_ON} 0F57C0 660F38DDC0 660F7EC0`, 0x6363_6363],
    26: [`${AVX_ON} 31C9 0F01D0`, 7],
    28: [`${AVX_ON} B800004040 C5F96EC0 C5FC58C0 C5F97EC0`, 0x40c0_0000],
    29: [`${AVX_ON} B8003C0000 C5F96EC0 C4E27913C0 C5F97EC0`, 0x3f80_0000],
    30: ['0FC7F0 0F92C0 25FF000000', 1],
  },
  '1.edx': {
    0: ['D9E8 83EC04 DB1C24 58', 1],
    2: 'cpu/system/control.test.ts: have fixed bits, and aliases unless CR4.DE',
    3: 'cpu/mmu/mmu.test.ts: translates 4 MB pages, and INVLPG drops all of one',
    4: ['0F31 B807000000', 7],
    5: 'cpu/system/control.test.ts: check values, and know no others',
    6: 'cpu/mmu/mmu.test.ts: PAE paging',
    7: 'cpu/system/control.test.ts: keep memory type ranges, checked as hardware does',
    8: ['31C0 31D2 BF00800000 C70700000000 C7470400000000 BB09000000 31C9 0FC70F 8B07', 9],
    11: 'cpu/system/control.test.ts: SYSENTER and SYSEXIT',
    12: 'cpu/system/control.test.ts: keep memory type ranges, checked as hardware does',
    13: 'cpu/mmu/mmu.test.ts: keeps global pages when told so',
    14: 'cpu/system/control.test.ts: keep memory type ranges, checked as hardware does',
    15: ['31C0 B905000000 0F44C1', 5],
    16: 'cpu/system/control.test.ts: check values, and know no others',
    19: ['BB00800000 C70301000000 0FAE3B 8B03', 1],
    23: ['B806000000 0F6EC0 0FFEC0 0F7EC0', 12],
    24: [`${SSE_ON} BB00900000 0FAE03 0FAE0B 8B4318`, 0x1f80],
    25: [`${SSE_ON} B806000000 F30F2AC0 F30F2DC0`, 6],
    26: [`${SSE_ON} B806000000 F20F2AC0 F20F2DC0`, 6],
  },
  '5.ecx': {
    0: 'cpu/monitor-wait.test.ts: take no extension but the one that leaf 5 lists',
    1: 'cpu/monitor-wait.test.ts: do not sleep while an interrupt waits that may break it, masked as it is',
  },
  '7.ebx': {
    0: 'cpu/long-mode.test.ts: LAHF, SAHF, WRGSBASE and its companions',
    1: 'cpu/system/control.test.ts: count along with IA32_TSC_ADJUST',
    3: ['B90F000000 BAFF000000 C4E270F2C2', 0xf0],
    5: [`${AVX_ON} B807000000 C5F96EC0 C4E27D58C0 C4E37D39C001 C5F97EC0`, 7],
    7: 'cpu/mmu/long-paging.test.ts: SMEP and SMAP',
    8: ['B912000000 C4E37BF0C104', 0x2000_0001],
    10: ['BB00800000 31C0 8903 894304 894308 89430C B802000000 660F388203', 2],
    18: ['0FC7F8 0F92C0 25FF000000', 1],
    19: ['F9 B801000000 660F38F6C0', 3],
    20: ['0F01CB 9C 58 0F01CA 2500000400', 0x4_0000],
    23: ['BB00800000 C70301000000 660FAE3B 8B03', 1],
    24: ['BB00800000 C70301000000 660FAE33 8B03', 1],
    29: [`${SSE_ON} B801000000 660F6EC0 0F57C9 0F38CAC1 660F7EC0`, 2],
  },
  '7.ecx': { 2: 'cpu/long-mode.test.ts: SGDT is #GP(0) for programs with CR4.UMIP' },
  'd.eax': {
    0: ['0F20E0 0D00060400 0F22E0 31C9 31D2 B801000000 0F01D1 0F01D0', 1],
    1: ['0F20E0 0D00060400 0F22E0 31C9 31D2 B803000000 0F01D1 0F01D0', 3],
    2: [`${AVX_ON} 31C9 0F01D0`, 7],
  },
  'd/1.eax': { 0: [`${AVX_ON} BB00900000 B807000000 31D2 0FAE33 8B8300020000`, 7] },
  '80000001.ecx': {
    0: 'cpu/long-mode.test.ts: LAHF, SAHF, WRGSBASE and its companions',
    5: ['B801000000 F30FBDC0', 31],
  },
  '80000001.edx': {
    11: 'cpu/long-mode.test.ts: call each other with SYSCALL and SYSRET, with SWAPGS between',
    20: 'cpu/mmu/mmu.test.ts: refuses to fetch from pages with XD once EFER.NXE is set',
    26: 'cpu/mmu/long-paging.test.ts: translates 2 MB and 1 GB pages',
    27: ['B9FFFFFFFF 0F01F9 89C8', 0],
    29: 'cpu/long-mode.test.ts: a kernel and a program',
  },
  '80000007.edx': { 8: 'cpu/system/control.test.ts: count from any value, modulo 2^64' },
};

/** What comes with a local APIC. */
export const APIC_SAMPLES: typeof SAMPLES = {
  '1.ecx': {
    21: 'devices/apic/local-apic.test.ts: is entered from xAPIC mode and left through disabled only',
    24: 'devices/apic/local-apic.test.ts: waits for a deadline of the time-stamp counter',
  },
  '1.edx': { 9: 'devices/apic/local-apic.test.ts: are after power-on as the manual says' },
  '6.eax': { 2: 'devices/apic/local-apic.test.ts: needs nobody while masked, and goes on when opened' },
};
