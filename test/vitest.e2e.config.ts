import { twoLanes } from './two-lanes.ts';

/** The page in headless Chromium, driven by playwright from Node. */
export default twoLanes({
  folder: 'test/e2e',
  paired: ['disk', 'boots-kernels', 'boots-firmware', 'network', 'media', 'storage-trouble'],
  // A guest on a shared machine takes its time to say something.
  poll: { timeout: 30_000, interval: 250 },
});
