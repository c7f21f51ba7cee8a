import { describe, expect, it } from 'vitest';
import { Decoder } from '../decoder/decoder.ts';
import { instructionTable } from '../isa/table.ts';
import { LINEAR } from '../state/layout.ts';
import { type CodeSource, Discovery, type Limits } from './discover.ts';
import { EffectsTable } from './effects.ts';

const SEED = 0x1000;
const NOP = 0x90;
const RET = 0xc3;
const INC_EAX = 0x40;

/** 32-bit code by its address; every place has been run, and those of `compiled` have a region of so many instructions. */
function find(code: Record<number, readonly number[]>, compiled: Record<number, number>, limits: Limits): Set<number> {
  const bytes = new Uint8Array(0x20_000).fill(NOP);
  for (const [at, text] of Object.entries(code)) bytes.set(text, Number(at));
  const source: CodeSource = {
    bytes,
    page: (linear) => ({ page: linear / 4096, host: linear }),
    entered: () => 100,
    compiled: (page, offset) => compiled[page * 4096 + offset] ?? 0,
    targets: () => [],
    least: 30,
  };
  const effects = new EffectsTable(false, {}, LINEAR.states);
  const discovery = new Discovery({ decoder: new Decoder(instructionTable), effects, source, limits });
  const region = discovery.find(SEED, 0, false);
  return new Set(region?.blocks.map((b) => SEED + b.at));
}

/** CALLs of functions one after another, and RET. */
function calls(...targets: number[]): number[] {
  const text: number[] = [];
  for (const to of targets) {
    const distance = to - (SEED + text.length + 5);
    text.push(0xe8, distance & 0xff, (distance >> 8) & 0xff, (distance >> 16) & 0xff, (distance >> 24) & 0xff);
  }
  return [...text, RET];
}

const LIMITS = { instructions: 800, pages: 8 };

describe('what a region is made of', () => {
  it('has small functions that are entries of other, large regions, and not large ones', () => {
    const code = {
      [SEED]: calls(0x3000, 0x5000),
      12288: [INC_EAX, INC_EAX, RET],
      20480: [...new Array(60).fill(INC_EAX), RET],
    };
    const found = find(code, { 12288: 400, 20480: 400 }, LIMITS);
    expect(found).toContain(0x3000);
    expect(found).not.toContain(0x5000);
    expect(find(code, { 12288: 400 }, LIMITS)).toContain(0x5000);
  });

  it('counts a function without what it calls, and with its jumps', () => {
    const far = [0xe9, 0xf8, 0x0f, 0, 0];
    const code = {
      [SEED]: calls(0x3000, 0x6000),
      // CALL 5000h; RET.
      12288: [0xe8, 0xfb, 0x1f, 0, 0, RET],
      20480: [...new Array(60).fill(INC_EAX), RET],
      // Three instructions, and 60 behind a jump.
      24576: [INC_EAX, INC_EAX, INC_EAX, ...far],
      28672: [...new Array(60).fill(INC_EAX), RET],
    };
    const found = find(code, { 12288: 400, 20480: 400, 24576: 400 }, LIMITS);
    expect(found).toContain(0x3000);
    expect(found).not.toContain(0x5000);
    expect(found).not.toContain(0x6000);
  });

  it('is on no more pages than it may be, and pages of functions that stay outside are none of them', () => {
    const large = [...new Array(60).fill(INC_EAX), RET];
    const code = {
      [SEED]: calls(0x5000, 0x7000, 0x9000, 0xb000),
      20480: large,
      28672: large,
      36864: [RET],
      45056: [RET],
    };
    const found = find(code, { 20480: 400, 28672: 400 }, { instructions: 800, pages: 2 });
    expect(found).toContain(0x9000);
    expect(found).not.toContain(0xb000);
  });
});
