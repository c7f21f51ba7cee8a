/** Which bits of the registers without effects of their own hold what is written. Source: 8254x SDM, chapter 13. */
import type { E1000Model } from './models.ts';
import { MTA_ENTRIES, RECEIVE_ADDRESSES, REG } from './registers.ts';

const ALL = 0xffff_ffff;

const MASKS: ReadonlyMap<number, number> = new Map([
  [REG.fcal, ALL],
  [REG.fcah, 0xffff],
  [REG.fct, 0xffff],
  [REG.vet, 0xffff],
  [REG.itr, 0xffff],
  [REG.rctl, 0x07df_b3fe],
  [REG.fcttv, 0xffff],
  [REG.txcw, 0xc000_ffff],
  [REG.tctl, 0x07ff_fffa],
  [REG.tipg, 0x3fff_ffff],
  [REG.ait, 0xffff],
  [REG.ledctl, ALL],
  [REG.pba, 0x003f_003f],
  [REG.fcrtl, 0x8000_fff8],
  [REG.fcrth, 0x0000_fff8],
  [REG.rdfh, 0x1fff],
  [REG.rdfh + 8, 0x1fff],
  [REG.rdfh + 16, 0x1fff],
  [REG.rdfh + 24, 0x1fff],
  [REG.rdfpc, 0x1fff],
  [REG.rdbal, 0xffff_fff0],
  [REG.rdbah, ALL],
  [REG.rdlen, 0x000f_ff80],
  [REG.rdh, 0xffff],
  [REG.rdt, 0xffff],
  [REG.rdtr, 0xffff],
  [REG.rxdctl, 0x01ff_ffff],
  [REG.rsrpd, 0x0fff],
  [REG.tdfh, 0x1fff],
  [REG.tdfh + 8, 0x1fff],
  [REG.tdfh + 16, 0x1fff],
  [REG.tdfh + 24, 0x1fff],
  [REG.tdfpc, 0x1fff],
  [REG.tdbal, 0xffff_fff0],
  [REG.tdbah, ALL],
  [REG.tdlen, 0x000f_ff80],
  [REG.tdh, 0xffff],
  [REG.tdt, 0xffff],
  [REG.tidv, 0xffff],
  [REG.txdctl, ALL],
  [REG.tspmt, ALL],
  [REG.rxcsum, 0x07ff],
  [REG.wuc, 0x000f],
  [REG.wufc, 0x000f_00ff],
  [REG.manc, ALL],
  [REG.ipav, 0x0001_000f],
  ...range(REG.mta, MTA_ENTRIES, 4),
  ...range(REG.ral0, RECEIVE_ADDRESSES, 8),
  ...range(REG.ral0 + 4, RECEIVE_ADDRESSES, 8, 0x8003_ffff),
  ...range(REG.vfta, 128, 4),
  ...range(REG.ip4at, 4, 8),
  ...range(REG.ip6at, 4, 4),
  ...range(REG.fflt, 4, 8, 0x07ff),
]);
/** Absolute delays came with the 82544. */
const LATER: ReadonlyMap<number, number> = new Map([
  [REG.radv, 0xffff],
  [REG.tadv, 0xffff],
]);

/** @param offset in BAR 0, a multiple of four */
export function plainMask(offset: number, model: E1000Model): number {
  return MASKS.get(offset) ?? (model.hasIoBar ? (LATER.get(offset) ?? 0) : 0);
}

function range(first: number, count: number, stride: number, mask: number = ALL): [number, number][] {
  return Array.from({ length: count }, (_, i) => [first + i * stride, mask]);
}
