/** Which maker's processor runs the tests: some of what manuals leave open each maker does in one way. */
import { readFileSync } from 'node:fs';

export type HostVendor = 'intel' | 'amd' | 'other';

const NAMES: Readonly<Record<string, HostVendor>> = { GenuineIntel: 'intel', AuthenticAMD: 'amd', HygonGenuine: 'amd' };

export const hostVendor: HostVendor =
  NAMES[/^vendor_id\s*:\s*(\S+)/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? ''] ?? 'other';
