/** All integer rows: what ordinary programs are made of. */
import { integerArithmeticRows } from './integer-arithmetic-rows.ts';
import { integerBitsRows } from './integer-bits-rows.ts';
import { integerControlRows } from './integer-control-rows.ts';
import { integerDecimalRows } from './integer-decimal-rows.ts';
import { integerExchangeRows } from './integer-exchange-rows.ts';
import { integerLogicShiftRows } from './integer-logic-shift-rows.ts';
import { integerMoveRows } from './integer-move-rows.ts';
import { integerMultiplyDivideRows } from './integer-multiply-divide-rows.ts';
import { integerStackRows } from './integer-stack-rows.ts';
import { integerStringRows } from './integer-string-rows.ts';
import type { Row } from './row.ts';

export const integerRows: readonly Row[] = [
  ...integerArithmeticRows,
  ...integerLogicShiftRows,
  ...integerMoveRows,
  ...integerStackRows,
  ...integerStringRows,
  ...integerControlRows,
  ...integerBitsRows,
  ...integerMultiplyDivideRows,
  ...integerDecimalRows,
  ...integerExchangeRows,
];
