/** A sound server that plays to nobody: what clients play can be recorded, and what they record be played. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './rdp-clients.ts';

const RATE = 48_000;
const FORM = ['--format=s16le', `--rate=${RATE}`, '--channels=2', '--latency-msec=20'];
/** A second of it, again and again. */
const TONE_HZ = 1000;

export class SoundServer {
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #running: ChildProcess[] = [];
  /** For clients: what they play goes to one place, what they record comes from another. */
  readonly environment: Readonly<Record<string, string>>;

  private constructor(folder: string, process: ChildProcess, environment: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.#process = process;
    this.environment = environment;
  }

  static async open(): Promise<SoundServer> {
    const folder = mkdtempSync(join(tmpdir(), 'tabbox-sound-server-'));
    const socket = join(folder, 'socket');
    const sink = (name: string): string => `module-null-sink sink_name=${name} rate=${RATE}`;
    const modules = [`module-native-protocol-unix auth-anonymous=1 socket=${socket}`, sink('out'), sink('voice')];
    const loads = modules.flatMap((one) => ['-L', one]);
    const args = ['--daemonize=no', '--exit-idle-time=-1', '-n', '--use-pid-file=no', ...loads];
    const server = spawn('pulseaudio', args, {
      env: { ...process.env, HOME: folder, XDG_RUNTIME_DIR: folder },
      stdio: 'ignore',
    });
    await eventually('a sound server', () => existsSync(socket) || undefined);
    const cookie = join(folder, 'cookie');
    const ends = { PULSE_SINK: 'out', PULSE_SOURCE: 'voice.monitor' };
    return new SoundServer(folder, server, { PULSE_SERVER: `unix:${socket}`, PULSE_COOKIE: cookie, ...ends });
  }

  /** Records what clients play. @returns the left samples so far */
  record(): () => Int16Array {
    const recorder = this.#run('parec', ['--device=out.monitor', ...FORM]);
    const parts: Buffer[] = [];
    recorder.stdout?.on('data', (bytes: Buffer) => parts.push(bytes));
    return () => {
      const all = Buffer.concat(parts);
      return Int16Array.from({ length: all.length >> 2 }, (_, i) => all.readInt16LE(i * 4));
    };
  }

  /** Clients record a tone of 1 kHz from now on. */
  speak(): void {
    const player = this.#run('pacat', ['--playback', '--device=voice', ...FORM]);
    const wave = (i: number): number => 12_000 * Math.sin((2 * Math.PI * TONE_HZ * (i >> 1)) / RATE);
    const second = new Uint8Array(Int16Array.from({ length: RATE * 2 }, (_, i) => wave(i)).buffer);
    const more = (): void => {
      player.stdin?.write(second, (error) => {
        if (!error) more();
      });
    };
    more();
  }

  /** Ends what records and speaks. */
  hush(): void {
    for (const one of this.#running.splice(0)) one.kill();
  }

  close(): void {
    this.hush();
    this.#process.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #run(command: string, args: readonly string[]): ChildProcess {
    const child = spawn(command, args, {
      env: { ...process.env, ...this.environment },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    child.stdin?.on('error', () => {});
    this.#running.push(child);
    return child;
  }
}
