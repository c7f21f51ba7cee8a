import * as Comlink from 'comlink';
import { afterAll, describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import { carryCodedErrors } from './coded-errors.ts';

interface Thrower {
  fail(how: 'coded' | 'plain' | 'string'): void;
}

describe('errors from another thread', () => {
  carryCodedErrors();
  carryCodedErrors();
  const { port1, port2 } = new MessageChannel();
  const far: Thrower = {
    fail(how) {
      if (how === 'coded') throw new CodedError('no-disk', 'there is no disk', { slot: 2 });
      if (how === 'plain') throw new TypeError('bad');
      throw 'text';
    },
  };
  Comlink.expose(far, port1);
  const near = Comlink.wrap<Thrower>(port2);
  afterAll(() => {
    port1.close();
    port2.close();
  });

  it('keep their code and details', async () => {
    const error = await near.fail('coded').then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(CodedError);
    expect(error).toMatchObject({ code: 'no-disk', message: 'there is no disk', details: { slot: 2 } });
  });

  it('stay as they are when they have none', async () => {
    await expect(near.fail('plain')).rejects.toMatchObject({ name: 'TypeError', message: 'bad' });
    await expect(near.fail('string')).rejects.toBe('text');
  });
});
