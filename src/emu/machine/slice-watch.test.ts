import { expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import { SliceWatch } from './slice-watch.ts';

it('ends a slice for an earlier deadline, and asks nothing of the slice to come', () => {
  let late = 0;
  const watch = new SliceWatch(new TimerQueue(new ManualClock()), () => late++);
  const timer = watch.create(() => {});
  // A device that is polled before every slice arms its timer then.
  timer.arm(guestNs(100));
  expect(late).toBe(0);
  watch.begin(1000);
  timer.arm(guestNs(2000));
  expect(late).toBe(0);
  timer.arm(guestNs(500));
  expect(late).toBe(1);
  watch.finish();
  timer.arm(guestNs(100));
  expect(late).toBe(1);
});
