/**
 * What this processor can do, and what a machine's configuration leaves of it. CPUID, CR4, EFER and the model-specific
 * registers all ask here, so that nothing works that is not announced.
 *
 * Source: SDM Vol. 2A, CPUID (tables 3-8 to 3-11 and leaf 7); AMD64 APM Vol. 3, appendix E, for the extended leaves.
 *
 * A new feature is a name and its bit in the word below, together with what it does.
 */

/** Leaf 1, EDX. */
const LEAF1_EDX = {
  fpu: 0,
  de: 2,
  pse: 3,
  tsc: 4,
  msr: 5,
  pae: 6,
  mce: 7,
  cx8: 8,
  sep: 11,
  mtrr: 12,
  pge: 13,
  mca: 14,
  cmov: 15,
  pat: 16,
  clfsh: 19,
  mmx: 23,
  fxsr: 24,
  sse: 25,
  sse2: 26,
} as const;
/** Leaf 1, ECX. */
const LEAF1_ECX = {
  sse3: 0,
  pclmulqdq: 1,
  /** Once IA32_MISC_ENABLE says so, which firmware leaves to the operating system here. */
  monitor: 3,
  ssse3: 9,
  fma: 12,
  cx16: 13,
  pcid: 17,
  sse41: 19,
  sse42: 20,
  movbe: 22,
  popcnt: 23,
  aes: 25,
  xsave: 26,
  avx: 28,
  f16c: 29,
  rdrand: 30,
} as const;
/** Leaf 7, subleaf 0, EBX. */
const LEAF7_EBX = {
  fsgsbase: 0,
  tscAdjust: 1,
  bmi1: 3,
  avx2: 5,
  smep: 7,
  bmi2: 8,
  invpcid: 10,
  rdseed: 18,
  adx: 19,
  smap: 20,
  clflushopt: 23,
  clwb: 24,
  sha: 29,
} as const;
/** Leaf 7, subleaf 0, ECX. */
const LEAF7_ECX = { umip: 2 } as const;
/** Leaf 7, subleaf 0, EDX. */
const LEAF7_EDX = {} as const;
/** Leaf 0Dh, subleaf 1, EAX. */
const LEAF13_1_EAX = { xsaveopt: 0 } as const;
/** Leaf 80000001h, ECX. */
const EXTENDED_ECX = { lahf64: 0, lzcnt: 5 } as const;
/** Leaf 80000001h, EDX. */
const EXTENDED_EDX = { syscall: 11, nx: 20, pdpe1gb: 26, rdtscp: 27, lm: 29 } as const;

/** Leaf 80000007h, EDX: guest time drives the TSC. */
const POWER_EDX = { invariantTsc: 8 } as const;
/** Leaf 1, ECX, and leaf 6, EAX: what a local APIC brings, announced with it (cpuid-apic.ts). */
const APIC1_ECX = { x2apic: 21, tscDeadline: 24 } as const;
const APIC6_EAX = { arat: 2 } as const;

export const REGISTER = { eax: 0, ebx: 1, ecx: 2, edx: 3 } as const;
type Register = keyof typeof REGISTER;

interface FeatureWord {
  readonly leaf: number;
  readonly subleaf: number;
  readonly register: Register;
  readonly bits: Readonly<Record<string, number>>;
  /** Only with a local APIC. */
  readonly withApic?: boolean;
}

const WORDS: readonly FeatureWord[] = [
  { leaf: 1, subleaf: 0, register: 'edx', bits: LEAF1_EDX },
  { leaf: 1, subleaf: 0, register: 'ecx', bits: LEAF1_ECX },
  { leaf: 7, subleaf: 0, register: 'ebx', bits: LEAF7_EBX },
  { leaf: 7, subleaf: 0, register: 'ecx', bits: LEAF7_ECX },
  { leaf: 7, subleaf: 0, register: 'edx', bits: LEAF7_EDX },
  { leaf: 0xd, subleaf: 1, register: 'eax', bits: LEAF13_1_EAX },
  { leaf: 0x8000_0001, subleaf: 0, register: 'ecx', bits: EXTENDED_ECX },
  { leaf: 0x8000_0001, subleaf: 0, register: 'edx', bits: EXTENDED_EDX },
  { leaf: 0x8000_0007, subleaf: 0, register: 'edx', bits: POWER_EDX },
  { leaf: 1, subleaf: 0, register: 'ecx', bits: APIC1_ECX, withApic: true },
  { leaf: 6, subleaf: 0, register: 'eax', bits: APIC6_EAX, withApic: true },
];

export type Feature =
  | keyof typeof LEAF1_EDX
  | keyof typeof LEAF1_ECX
  | keyof typeof LEAF7_EBX
  | keyof typeof LEAF7_ECX
  | keyof typeof LEAF7_EDX
  | keyof typeof LEAF13_1_EAX
  | keyof typeof EXTENDED_ECX
  | keyof typeof EXTENDED_EDX
  | keyof typeof POWER_EDX
  | keyof typeof APIC1_ECX
  | keyof typeof APIC6_EAX;

/** A processor of the past to be. */
interface Profile {
  readonly vendor: string;
  readonly brand: string;
  /** Leaf 1, EAX: family, model, stepping. */
  readonly signature: number;
  /** Highest basic and extended leaves of CPUID. */
  readonly leaves: readonly [basic: number, extended: number];
  /** Features it lacks. */
  readonly without: readonly string[];
}

/**
 * `host` has everything. Family 6, model 1Ch: an in-order core without speculation, which is what an interpreter is, so
 * that guests do not arm themselves against side channels it has not.
 */
const PROFILES = {
  host: {
    vendor: 'GenuineIntel',
    brand: 'TabBox virtual CPU',
    signature: 0x0001_06ca,
    leaves: [0x15, 0x8000_0008],
    without: [],
  },
  /** Family 6, model Dh: what VirtualBox calls this; 32 bits, SSE2, no execute-disable in its first steppings. */
  'Intel Pentium M processor 2.00GHz': {
    vendor: 'GenuineIntel',
    brand: 'Intel(R) Pentium(R) M processor 2.00GHz',
    signature: 0x0000_06d6,
    leaves: [2, 0x8000_0004],
    // All but those of leaf 1, EDX, is newer.
    without: ['pae', ...WORDS.slice(1).flatMap((word) => Object.keys(word.bits))],
  },
} as const satisfies Record<string, Profile>;

export type CpuProfile = keyof typeof PROFILES;
export const CPU_PROFILES = Object.keys(PROFILES) as readonly CpuProfile[];

/** What CPUID answers for one leaf, whatever else it would: VBoxManage's `--cpuid-set`. 32-bit patterns. */
export interface CpuidOverride {
  readonly leaf: number;
  /** Undefined: for every subleaf. */
  readonly subleaf?: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** The switches of a machine's CPU. */
export interface CpuConfig {
  readonly profile: CpuProfile;
  /** 64-bit mode is there; it needs `pae`. */
  readonly longMode: boolean;
  readonly pae: boolean;
  readonly cpuidSet: readonly CpuidOverride[];
}

export const DEFAULT_CPU: CpuConfig = { profile: 'host', longMode: true, pae: true, cpuidSet: [] };

/** What is only useful, or only works, in 64-bit mode. */
const LONG_MODE: readonly string[] = ['lm', 'cx16', 'syscall', 'pdpe1gb', 'lahf64', 'pcid', 'fsgsbase'];
const PAE: readonly string[] = ['pae', 'nx'];

/** EAX, EBX, ECX, EDX; 32-bit patterns. */
export type CpuidResult = [number, number, number, number];

export class CpuFeatures {
  readonly config: CpuConfig;
  readonly vendor: string;
  readonly brand: string;
  readonly signature: number;
  /** Highest basic and extended leaves of CPUID. */
  readonly leaves: readonly [basic: number, extended: number];
  readonly #has = new Set<string>();
  /** The words of `WORDS`, in that order. */
  readonly #words: readonly number[];

  /** @param lacking features that the host cannot give */
  constructor(config: CpuConfig = DEFAULT_CPU, lacking: readonly string[] = []) {
    this.config = config;
    const profile: Profile = PROFILES[config.profile];
    this.vendor = profile.vendor;
    this.brand = profile.brand;
    this.signature = profile.signature;
    this.leaves = profile.leaves;
    const without = new Set([
      ...profile.without,
      ...lacking,
      ...(config.pae ? [] : PAE),
      ...(config.longMode && config.pae && !profile.without.includes('lm') ? [] : LONG_MODE),
    ]);
    this.#words = WORDS.map(({ leaf, subleaf, register, bits }) => {
      const override = this.override(leaf, subleaf);
      let word = 0;
      for (const [name, bit] of Object.entries(bits)) {
        if (without.has(name)) continue;
        // What a machine's owner has hidden must not work either.
        if (override && !((override[REGISTER[register]] >>> bit) & 1)) continue;
        word |= 1 << bit;
        this.#has.add(name);
      }
      return word;
    });
  }

  /** The same without some of its features. */
  without(...features: readonly Feature[]): CpuFeatures {
    return new CpuFeatures(this.config, features);
  }

  has(feature: Feature): boolean {
    return this.#has.has(feature);
  }

  /**
   * The features that a word of CPUID announces, as 32-bit pattern; words without any are 0.
   * @param withApic of those that come with a local APIC; else of the others
   */
  word(leaf: number, subleaf: number, register: Register, withApic = false): number {
    const index = WORDS.findIndex(
      (word) =>
        word.leaf === leaf &&
        word.subleaf === subleaf &&
        word.register === register &&
        (word.withApic ?? false) === withApic,
    );
    return this.#words[index];
  }

  /** What the machine's owner wants CPUID to answer. */
  override(leaf: number, subleaf: number): CpuidResult | undefined {
    const found = this.config.cpuidSet.find(
      (set) => set.leaf >>> 0 === leaf >>> 0 && (set.subleaf === undefined || set.subleaf === subleaf),
    );
    return found && [found.eax | 0, found.ebx | 0, found.ecx | 0, found.edx | 0];
  }
}
