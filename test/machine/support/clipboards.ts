/** The clipboard of an X display, as a person there has it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type Display, eventually } from './rdp-clients.ts';

const run = promisify(execFile);
const environmentOf = ({ name }: Display): NodeJS.ProcessEnv => ({ ...process.env, DISPLAY: name });

/** @returns who holds the text from now on, until it is ended or something else is copied */
export const copy = (display: Display, text: string): Promise<ChildProcess> => hold(display, text, []);

/** Copies files as file managers do. @param paths absolute. @returns as `copy` */
export const copyFiles = (display: Display, paths: readonly string[]): Promise<ChildProcess> =>
  hold(display, paths.map((path) => `${pathToFileURL(path)}\r\n`).join(''), ['-target', 'text/uri-list']);

async function hold(display: Display, text: string, how: readonly string[]): Promise<ChildProcess> {
  // In the foreground it says when it has the clipboard.
  const holder = spawn('xclip', ['-selection', 'clipboard', ...how, '-verbose', '-i'], {
    env: environmentOf(display),
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  await new Promise<void>((resolve, reject) => {
    holder.once('error', reject);
    holder.stderr.once('data', () => resolve());
    holder.stdin.end(text);
  });
  return holder;
}

/** What would be pasted; undefined: no text. */
export async function pasted(display: Display): Promise<string | undefined> {
  const args = ['-selection', 'clipboard', '-target', 'UTF8_STRING', '-o'];
  const options = { env: environmentOf(display), timeout: 5000 };
  return await run('xclip', args, options).then(
    ({ stdout }) => stdout,
    () => undefined,
  );
}

/** Waits until a text would be pasted. @throws Error */
export async function pastes(display: Display, text: string): Promise<void> {
  let seen: string | undefined;
  const look = async (): Promise<true | undefined> => ((seen = await pasted(display)) === text ? true : undefined);
  await eventually('text', look).catch((cause: Error) => {
    throw new Error(`${cause.message}: ${JSON.stringify(seen)} instead of ${JSON.stringify(text)}`);
  });
}
