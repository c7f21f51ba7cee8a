/** AVX and AVX2 instructions that legacy SSE rows have too: which forms they take. Source: SDM Vol. 2; Vol. 1, 14.1, 14.6. */
import { cryptoRows } from './crypto-rows.ts';
import type { Row } from './row.ts';
import { sseRows } from './sse-rows.ts';
import { sse4FloatRows } from './sse4-float-rows.ts';
import { sse4Rows } from './sse4-rows.ts';
import { stringCompareRows } from './string-compare-rows.ts';
import { type VexForm, vexRow } from './vex-view.ts';

type Length = '128' | '256' | 'LIG';
type Form = VexForm & {
  readonly lengths: readonly Length[];
  /** Operands of the 256-bit form, where they do not follow. */
  readonly wide?: string;
};

const both = { lengths: ['128', '256'] } as const;
const only128 = { lengths: ['128'] } as const;
const scalar = { lengths: ['LIG'] } as const;
const two = { three: false } as const;
const three = { three: true } as const;
const float = { float: true } as const;

const shapes = (stems: string, suffixes: string): string =>
  stems
    .split(' ')
    .flatMap((stem) => suffixes.split(' ').map((suffix) => stem + suffix))
    .join(' ');

/** Names (or a legacy opcode, where a name has several) and their form. */
const GROUPS: readonly (readonly [names: string, form: Form])[] = [
  [shapes('add sub mul div min max cmp hadd hsub addsub', 'ps pd'), { ...both, ...three, ...float }],
  [shapes('add sub mul div min max cmp sqrt round', 'ss sd'), { ...scalar, ...three, ...float }],
  ['rcpss rsqrtss cvtsi2ss cvtsi2sd cvtss2sd cvtsd2ss', { ...scalar, ...three }],
  [shapes('comi ucomi', 'ss sd'), { ...scalar, ...two }],
  ['cvttss2si cvttsd2si cvtss2si cvtsd2si', { ...scalar, ...two }],
  [shapes('sqrt round', 'ps pd'), { ...both, ...two, ...float }],
  ['rcpps rsqrtps', { ...both, ...two }],
  ['cvtdq2ps cvtps2dq cvttps2dq', { ...both, ...two, ...float }],
  ['cvtps2pd cvtdq2pd', { ...both, ...two, ...float, stride: 8 }],
  ['cvtpd2ps cvtpd2dq cvttpd2dq', { ...both, ...two, ...float, halves: 'narrow' }],
  ['dpps dppd', { ...only128, ...three }],
  [shapes('and andn or xor unpckl unpckh', 'ps pd'), { ...both, ...three }],
  ['shufps palignr pblendw', { ...both, ...three }],
  ['shufpd blendpd', { ...both, ...three, immediateShift: 2 }],
  ['mpsadbw', { ...both, ...three, immediateShift: 3 }],
  ['blendps', { ...both, ...three, immediateShift: 4 }],
  [shapes('padd psub pcmpgt pcmpeq', 'b w d q'), { ...both, ...three }],
  [shapes('padds paddus psubs psubus', 'b w'), { ...both, ...three }],
  [shapes('pmax pmin', 'ub sw sb sd uw ud'), { ...both, ...three }],
  ['punpcklbw punpcklwd punpckldq punpcklqdq punpckhbw punpckhwd punpckhdq punpckhqdq', { ...both, ...three }],
  ['packsswb packuswb packssdw packusdw pand pandn por pxor pavgb pavgw psadbw pshufb', { ...both, ...three }],
  ['pmullw pmulhw pmulhuw pmuludq pmuldq pmulld pmaddwd pmaddubsw pmulhrsw', { ...both, ...three }],
  ['phaddw phaddd phaddsw phsubw phsubd phsubsw psignb psignw psignd', { ...both, ...three }],
  ['psrldq pslldq', { ...both, ...three }],
  ...['psrlw psrld psrlq psraw psrad psllw pslld psllq'].map(
    (names) => [names, { ...both, ...three, stride: 0 }] as const,
  ),
  ['pabsb pabsw pabsd pshufd pshufhw pshuflw movsldup movshdup', { ...both, ...two }],
  ['movddup', { ...both, ...two, wide: 'Vqq,Wqq' }],
  ['movups movupd movdqu lddqu', { ...both, ...two }],
  ['movaps movapd movdqa movntps movntpd movntdq movntdqa', { ...both, ...two, aligned: true }],
  [shapes('pmovsx pmovzx', 'bw wd dq'), { ...both, ...two, stride: 8 }],
  [shapes('pmovsx pmovzx', 'bd wq'), { ...both, ...two, stride: 4 }],
  [shapes('pmovsx pmovzx', 'bq'), { ...both, ...two, stride: 2 }],
  ['movmskps', { ...both, ...two, halves: 4 }],
  ['movmskpd', { ...both, ...two, halves: 2 }],
  ['pmovmskb', { ...both, ...two, halves: 16 }],
  ['movhlps movlhps insertps pinsrb pinsrw pinsrd', { ...only128, ...three }],
  ['aesenc aesenclast aesdec aesdeclast pclmulqdq', { ...only128, ...three }],
  ['aesimc aeskeygenassist phminposuw ptest pextrb pextrw extractps', { ...only128, ...two }],
  ['movd movq pextrd maskmovdqu ldmxcsr stmxcsr pcmpestrm pcmpestri pcmpistrm pcmpistri', { ...only128, ...two }],
  ...['NP 0F 12 m', '66 0F 12 m', 'NP 0F 16 m', '66 0F 16 m'].map((o) => [o, { ...only128, ...three }] as const),
  ...['NP 0F 13 m', '66 0F 13 m', 'NP 0F 17 m', '66 0F 17 m'].map((o) => [o, { ...only128, ...two }] as const),
];

const WIDER: Readonly<Record<string, string>> = { w: 'd', d: 'q', q: 'x', x: 'qq' };
const widened = (operand: string): string =>
  'VHWUM'.includes(operand[0]) ? operand[0] + (WIDER[operand.slice(1)] ?? operand.slice(1)) : operand;

/** `66 0F 38 00 m` with a VEX prefix. */
function vexOpcode(legacy: string, length: Length, w: string): string {
  const tokens = legacy.split(' ');
  const prefix = tokens.shift();
  let map = tokens.shift() ?? '';
  if (tokens[0] === '38' || tokens[0] === '3A') map += tokens.shift();
  return [`VEX.${length}${prefix === 'NP' ? '' : `.${prefix}`}.${map}.${w}`, ...tokens].join(' ');
}

/** Legacy operands with VEX.vvvv among them: the first source, or the destination of shifts by an immediate. */
function vexOperands(legacy: Row, form: Form, length: Length): string {
  const operands = legacy.operands.split(',');
  if (form.three && operands[0][0] === 'U') operands.unshift(`H${operands[0].slice(1)}`);
  else if (form.three) operands.splice(1, 0, `H${operands[0].slice(1)}`);
  if (length !== '256') return operands.join(',');
  if (form.wide) return form.wide;
  const last = operands.findLastIndex((o) => !o.startsWith('I'));
  return operands
    .map((operand, n) => {
      const stays = (n === 0 && form.halves === 'narrow') || (n === last && form.stride === 0 && operand[0] === 'W');
      return stays ? operand : widened(operand);
    })
    .join(',');
}

const derive = (legacy: Row, given: Form): Row[] => {
  // A count in an operand is one for both halves; by an immediate they are shifted alike anyway.
  const form = given.stride === 0 && !legacy.operands.includes('W') ? { ...given, stride: 16 } : given;
  return form.lengths.map((length) => {
    const names = legacy.mnemonic.split('|').map((name) => `v${name}`);
    const opcode = vexOpcode(legacy.opcode, length, 'WIG');
    const { access, address, rexW } = legacy.options;
    const options = {
      ...(access ? { access } : {}),
      ...(address ? { address } : {}),
      ...(rexW ? { rexW } : {}),
    };
    return vexRow(opcode, names.join('|'), vexOperands(legacy, form, length), legacy.semantics, form, options);
  });
};

const LEGACY: readonly Row[] = [...sseRows, ...sse4Rows, ...sse4FloatRows, ...cryptoRows, ...stringCompareRows];
const legacyOf = (opcode: string): ((e: Parameters<Row['semantics']>[0]) => void) => {
  const found = LEGACY.find((r) => r.opcode === opcode);
  if (!found) throw new Error(`no legacy row ${opcode}`);
  return found.semantics;
};

/** MOVSS and MOVSD: three operands between registers, two with memory. */
const scalarMoves: readonly Row[] = (
  [
    ['movss', 'F3', 'd'],
    ['movsd', 'F2', 'q'],
  ] as const
).flatMap(([name, prefix, type]) => {
  const opcode = (n: string): string => `VEX.LIG.${prefix}.0F.WIG ${n}`;
  const load = legacyOf(`${prefix} 0F 10`);
  const store = legacyOf(`${prefix} 0F 11`);
  const [v, h, u, m] = ['V', 'H', 'U', 'M'].map((kind) => kind + type);
  return [
    vexRow(opcode('10 m'), `v${name}`, `${v},${m}`, load, two),
    vexRow(opcode('10 r'), `v${name}`, `${v},${h},${u}`, load, three),
    vexRow(opcode('11 m'), `v${name}`, `${m},${v}`, store, two, { access: 'write' }),
    vexRow(opcode('11 r'), `v${name}`, `${u},${h},${v}`, store, three),
  ];
});

const forms = new Map<string, Form>();
for (const [names, form] of GROUPS) {
  if (/^(NP|66) /.test(names)) forms.set(names, form);
  else for (const name of names.split(' ')) forms.set(name, form);
}

export const vexRows: readonly Row[] = [
  ...LEGACY.flatMap((legacy) => {
    const form = forms.get(legacy.opcode) ?? forms.get(legacy.mnemonic.split('|')[0]);
    // The SSE2 moves between MMX and XMM have no VEX form.
    return form && !/[PQN]q/.test(legacy.operands) ? derive(legacy, form) : [];
  }),
  ...scalarMoves,
];
