/** The instruction table: every encoding that virtual CPUs know. Source: SDM Vol. 2. */
import { avxMemoryRows } from './avx-memory-rows.ts';
import { avxRows } from './avx-rows.ts';
import { bmiRows } from './bmi-rows.ts';
import { cryptoRows } from './crypto-rows.ts';
import { fmaRows } from './fma-rows.ts';
import { integerExtensionRows } from './integer-extension-rows.ts';
import { integerRows } from './integer-rows.ts';
import { mmxRows } from './mmx-rows.ts';
import type { Row } from './row.ts';
import { sseRows } from './sse-rows.ts';
import { sse4FloatRows } from './sse4-float-rows.ts';
import { sse4Rows } from './sse4-rows.ts';
import { stringCompareRows } from './string-compare-rows.ts';
import { systemRows } from './system-rows.ts';
import { vexRows } from './vex-rows.ts';
import { x87Rows } from './x87-rows.ts';
import { xsaveRows } from './xsave-rows.ts';

export const instructionTable: readonly Row[] = [
  ...integerRows,
  ...integerExtensionRows,
  ...systemRows,
  ...x87Rows,
  ...mmxRows,
  ...sseRows,
  ...sse4Rows,
  ...sse4FloatRows,
  ...stringCompareRows,
  ...cryptoRows,
  ...vexRows,
  ...avxRows,
  ...avxMemoryRows,
  ...bmiRows,
  ...fmaRows,
  ...xsaveRows,
];
