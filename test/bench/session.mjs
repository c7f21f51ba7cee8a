// One emulator with its serial console on stdin and stdout: starts it, waits for lines, measures it from outside.
// Source of the thread times: Linux, Documentation/scheduler/sched-stats.rst (/proc/PID/task/TID/schedstat).

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { descendants, signalAll } from '../processes.mjs';

const GRACE_MS = 5000;
const PROMPT = /# $/;
/** busybox asks the terminal where the cursor is after each prompt; nobody here answers. */
const CURSOR_QUERY = '\u001b[6n';

/** Seconds of every thread of the processes, by its number. */
function threadTimes(pids) {
  const times = new Map();
  for (const pid of pids) {
    try {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const [ran, waited] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
        times.set(thread, { pid, ran: Number(ran) / 1e9, waited: Number(waited) / 1e9 });
      }
    } catch {
      // A thread or the process ended meanwhile; what was read counts.
    }
  }
  return times;
}

/** Resident memory in MB: now, and the most there was. */
function residentMemory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (field) => Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
  return { now: megabytes('VmRSS'), most: megabytes('VmHWM') };
}

export class Session {
  #child;
  #text = '';
  #wake = () => {};
  #ended = false;
  #last = { at: performance.now(), threads: new Map() };
  #stderr = '';
  /** Where the emulator's busiest thread is: a browser has many processes. */
  #busiest;

  /** @param {string[]} command program and arguments */
  constructor(command) {
    this.#child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#busiest = this.#child.pid;
    this.#child.stdout.on('data', (data) => this.#take(data.toString('latin1')));
    this.#child.stderr.on('data', (data) => {
      this.#stderr += data;
      this.#wake();
    });
    // Writing to an emulator that has just died is told by 'exit'.
    this.#child.stdin.on('error', () => {});
    this.#child.once('error', (error) => {
      this.#stderr += error.message;
      this.#end();
    });
    this.#child.once('exit', () => this.#end());
  }

  #take(text) {
    this.#text = (this.#text + text.replaceAll('\r', '')).replaceAll(CURSOR_QUERY, '');
    this.#wake();
  }

  #end() {
    this.#ended = true;
    this.#wake();
  }

  /** Waits until `find` gives something other than undefined. @throws Error after `seconds` or when the emulator ends */
  async #until(find, what, seconds) {
    const deadline = performance.now() + seconds * 1000;
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      const left = deadline - performance.now();
      if (this.#ended) throw new Error(`ended before ${what}: ${(this.#stderr || this.#text).trim().slice(-300)}`);
      if (left <= 0) throw new Error(`no ${what} within ${seconds} s; last output: ${this.#text.slice(-200)}`);
      await new Promise((resolve) => {
        const clock = setTimeout(resolve, Math.min(left, 1000));
        this.#wake = () => {
          clearTimeout(clock);
          resolve();
        };
      });
    }
  }

  /** Waits for `pattern` in the console and takes everything up to its end. @returns the match */
  async expect(pattern, what, seconds) {
    const match = await this.#until(() => pattern.exec(this.#text) ?? undefined, what, seconds);
    const text = this.#text.slice(0, match.index + match[0].length);
    this.#text = this.#text.slice(text.length);
    return { text, match };
  }

  /** Until the emulator says on stderr that its machine is switched on; times begin there. */
  async starting(seconds) {
    await this.#until(() => (/^STARTING$/m.test(this.#stderr) ? true : undefined), 'the start', seconds);
    this.lap();
  }

  prompt(seconds) {
    return this.expect(PROMPT, 'prompt', seconds);
  }

  send(line) {
    this.#child.stdin.write(`${line}\n`);
  }

  /** v86's count of executed instructions, modulo 2^32. */
  async instructions() {
    this.#stderr = '';
    this.#child.kill('SIGUSR2');
    const find = () => /INSTRUCTIONS (\d+)\n/.exec(this.#stderr)?.[1];
    return Number(await this.#until(find, 'instruction count', 10));
  }

  /**
   * Seconds since the last call: `wall`, `cpu` of all threads, and of the busiest thread `main` (running) and `wait`
   * (could have run, but other load had the core).
   */
  lap() {
    const now = { at: performance.now(), threads: threadTimes([this.#child.pid, ...descendants(this.#child.pid)]) };
    let cpu = 0;
    let main = 0;
    let wait = 0;
    for (const [thread, { pid, ran, waited }] of now.threads) {
      const before = this.#last.threads.get(thread) ?? { ran: 0, waited: 0 };
      cpu += ran - before.ran;
      if (ran - before.ran <= main) continue;
      main = ran - before.ran;
      wait = waited - before.waited;
      this.#busiest = pid;
    }
    const wall = (now.at - this.#last.at) / 1000;
    this.#last = now;
    return { wall, cpu, main, wait };
  }

  /** Of the process with the busiest thread. */
  memory() {
    return residentMemory(this.#busiest);
  }

  async close() {
    if (this.#ended) return;
    const all = [this.#child.pid, ...descendants(this.#child.pid)];
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    const clock = setTimeout(() => signalAll(all, 'SIGKILL'), GRACE_MS);
    await ended;
    clearTimeout(clock);
    // What it started may outlive it, and would keep its pipes open.
    signalAll(all.slice(1), 'SIGKILL');
    for (const stream of [this.#child.stdout, this.#child.stderr]) stream.destroy();
  }
}
