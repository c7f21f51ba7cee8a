// The monitor's ends: lines come in from the terminal or from a socket, answers go back in the order of the commands.
//
// Every command is answered by data lines, each behind one space, and then by `ok` or `error: what is wrong`.

import { rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { CodedError } from '#base/errors.ts';
import { MONITOR_HELP, type MonitorCommand, parseMonitorLine } from './monitor-commands.ts';

export interface Reply {
  readonly lines: readonly string[];
  readonly error: string | undefined;
}

/** Carries a command out on the machine. */
export type Execute = (command: MonitorCommand) => Promise<Reply>;

/** The answer to one line as text; undefined for an empty one. */
export async function answer(line: string, execute: Execute): Promise<string | undefined> {
  try {
    const command = parseMonitorLine(line);
    if (!command) return undefined;
    if (command.verb === 'help') return formatReply({ lines: MONITOR_HELP, error: undefined });
    return formatReply(await execute(command));
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    return formatReply({ lines: [], error: cause.message });
  }
}

export function formatReply({ lines, error }: Reply): string {
  const last = error === undefined ? 'ok' : `error: ${error.replaceAll('\n', ' ')}`;
  return [...lines.map((line) => ` ${line}`), last, ''].join('\n');
}

/** Serves one stream of lines. @returns ends it */
export function serveLines(
  input: NodeJS.ReadableStream,
  output: { write(text: string): unknown },
  execute: Execute,
): () => void {
  const lines = createInterface({ input, terminal: false });
  // Answers keep the order of the questions.
  let last: Promise<void> = Promise.resolve();
  lines.on('line', (line) => {
    last = last.then(async () => {
      const text = await answer(line, execute);
      if (text !== undefined) output.write(text);
    });
  });
  return () => lines.close();
}

/**
 * Listens on a Unix socket; any number of clients may talk, one after the other or at once.
 * @throws CodedError<'monitor-failed'>
 */
export async function serveSocket(path: string, execute: Execute): Promise<() => void> {
  removeStale(path);
  const server: Server = createServer((socket) => {
    // A client that goes away in the middle of an answer is no trouble of ours.
    socket.on('error', () => {});
    serveLines(socket, socket, execute);
  });
  await new Promise<void>((listening, reject) => {
    server.once('error', (cause) => {
      const why = 'code' in cause && cause.code === 'EADDRINUSE' ? 'another process uses it' : cause.message;
      reject(new CodedError('monitor-failed', `the monitor cannot listen on ${path}: ${why}`, { path }, cause));
    });
    server.listen(path, listening);
  });
  server.unref();
  return () => {
    server.close();
    rmSync(path, { force: true });
  };
}

/** A socket that a killed process left behind. Whether one is still served cannot be told; its owner keeps its clients. */
function removeStale(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket()) rmSync(path, { force: true });
}
