/** The interpreters as files: what a build makes once, a CPU takes; what does not fit, it makes itself. */
import { describe, expect, it } from 'vitest';
import { instructionTable } from '../isa/table.ts';
import { LINEAR, STATE_BLOCK_BYTES } from '../state/layout.ts';
import { compileModule } from '../wasm/host.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { interpreterBytes, interpreterImage } from './image.ts';

/** Images are kept by their table: a copy is one that nobody has asked for yet. */
const image = (prepared: unknown, stateAt: number = LINEAR.states, long = false) =>
  interpreterImage([...instructionTable], long, stateAt, prepared);

describe('an interpreter made before', () => {
  const narrow = compileModule(interpreterBytes(false));

  it.each([false, true])('is taken as it is, 64-bit: %s', (long) => {
    const prepared = compileModule(interpreterBytes(long));
    const taken = image(prepared, LINEAR.states, long);
    expect(taken.module).toBe(prepared);
    const made = image(undefined, LINEAR.states, long);
    expect(made.module).not.toBe(prepared);
    const facts = ({ tableSize, use, kernels }: typeof made) => ({ tableSize, use: [...use], kernels });
    expect(facts(taken)).toEqual(facts(made));
    expect(taken.use.filter((use) => use?.writes).length).toBeGreaterThan(100);
    expect(Object.keys(taken.kernels).length).toBeGreaterThan(50);
  });

  it('is the same each time', () => {
    expect(Buffer.compare(interpreterBytes(false), interpreterBytes(false))).toBe(0);
  });

  it('is refused when it is of other code, for another processor, or no interpreter', () => {
    const alien = new ModuleBuilder({ initial: 1, maximum: 1 });
    alien.define(['i32'], 'i32', (f) => f.return(f.param(0, 'i32').get), 'run');
    const otherVersion = new ModuleBuilder({ initial: 1, maximum: 1 });
    otherVersion.custom(
      'tabbox.interpreter',
      '{"layout":1,"stateAt":0,"caseCount":1,"tableSize":1,"use":"0","kernels":{}}',
    );
    otherVersion.define(['i32'], 'i32', (f) => f.return(f.param(0, 'i32').get), 'run');
    for (const builder of [alien, otherVersion]) {
      const module = compileModule(builder.bytes());
      expect(image(module).module).not.toBe(module);
    }
    expect(image(narrow, LINEAR.states + STATE_BLOCK_BYTES).module).not.toBe(narrow);
    expect(image(narrow, LINEAR.states, true).module).not.toBe(narrow);
  });
});
