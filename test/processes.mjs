// Processes by their parents, for whoever starts some that start others.
// Source: proc(5), /proc/PID/stat.

import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Every process below `pid`, found through /proc, because a browser leaves its parent's process group. */
export function descendants(pid) {
  const children = new Map();
  for (const name of existsSync('/proc') ? readdirSync('/proc') : []) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // The command name in parentheses may hold anything, so the fields are read from behind it.
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // It ended between the listing and the look.
    }
  }
  const below = (id) => (children.get(id) ?? []).flatMap((one) => [one, ...below(one)]);
  return below(pid);
}

export function signalAll(pids, signal) {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // Gone already.
    }
  }
}
