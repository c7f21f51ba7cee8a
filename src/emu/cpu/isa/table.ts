/** The instruction table: every encoding that virtual CPUs know. Source: SDM Vol. 2. */
import { integerRows } from './integer-rows.ts';
import { mmxRows } from './mmx-rows.ts';
import type { Row } from './row.ts';
import { sseRows } from './sse-rows.ts';
import { systemRows } from './system-rows.ts';
import { x87Rows } from './x87-rows.ts';

export const instructionTable: readonly Row[] = [...integerRows, ...systemRows, ...x87Rows, ...mmxRows, ...sseRows];
