/** Raw DEFLATE (RFC 1951) of a known length from somebody who may mean harm: bounded in time and memory. */
import { Inflate } from 'fflate';
import { CodedError } from '#base/errors.ts';
import { refuse } from './fields.ts';

/** Given to the inflater at a time; it makes at most a thousand times as much of it. */
const PIECE = 4096;

/** @throws CodedError<'bad-stream'> when it is not exactly `length` bytes that were deflated */
export function inflateExactly(deflated: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let got = 0;
  let isComplete = false;
  const inflater = new Inflate((chunk, final) => {
    if (got + chunk.length > length) refuse(`there is more than the ${length} bytes that were announced`);
    whole.set(chunk, got);
    got += chunk.length;
    isComplete = final;
  });
  try {
    for (let at = 0; at < deflated.length; at += PIECE) {
      inflater.push(deflated.subarray(at, at + PIECE), at + PIECE >= deflated.length);
    }
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    refuse(`the tiles cannot be inflated: ${cause instanceof Error ? cause.message : cause}`);
  }
  if (!isComplete || got !== length) refuse(`${got} bytes came of the ${length} that were announced`);
  return whole;
}
