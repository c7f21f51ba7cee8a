/** What the environment says of a test run: the core has no Node types, so it is reached through `globalThis`. */
import type { TierMode } from './jit/tier1.ts';

const host = globalThis as { process?: { env?: Record<string, string | undefined> } };
export const environment: Readonly<Record<string, string | undefined>> = host.process?.env ?? {};

const tier = environment['TABBOX_TIER'];
/** For `CpuParts`: TABBOX_TIER=0|1|mixed chooses the tiers of every CPU that a test makes. */
export const testedTier: { readonly tier?: TierMode } = tier ? { tier: tier as TierMode } : {};
