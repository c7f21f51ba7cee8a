/** Every process below `pid`. */
export function descendants(pid: number): number[];
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void;
