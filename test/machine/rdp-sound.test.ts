/** What a machine plays, heard through xfreerdp: recorded from a sound server that plays to nobody. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { guest, Headless } from './support/headless.ts';
import { Display, eventually, RdpClient } from './support/rdp-clients.ts';
import { openGateway } from './support/rdp-gateways.ts';
import { SoundServer } from './support/sound-server.ts';

const RATE = 48_000;
const TONE_HZ = 1000;
const FRAMES = 480;
/** Less than a client may have waiting. */
const AHEAD_S = 0.25;

let display: Display;
let server: SoundServer;
let environment: Readonly<Record<string, string>>;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  display = await Display.open();
  server = await SoundServer.open();
  environment = server.environment;
});
afterEach(async () => {
  server.hush();
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(async () => {
  server.close();
  await display.close();
});

/** Plays a tone until told to stop, so far ahead of time that a busy host's pauses are not heard. */
function playTone(play: (samples: Int16Array) => void): void {
  const began = performance.now();
  let played = 0;
  const timer = setInterval(() => {
    for (; played < ((performance.now() - began) / 1000 + AHEAD_S) * RATE; played += FRAMES) {
      const wave = (i: number): number => 12_000 * Math.sin((2 * Math.PI * TONE_HZ * (played + (i >> 1))) / RATE);
      play(Int16Array.from({ length: FRAMES * 2 }, (_, i) => wave(i)));
    }
  }, 10);
  closers.push(() => clearInterval(timer));
}

interface Heard {
  /** Samples of the longest stretch in which each follows from the two before as a tone's do. */
  readonly longest: number;
  /** Samples of all such stretches that are no accident. */
  readonly tone: number;
  /** Samples that are loud and in no such stretch. */
  readonly other: number;
}

/** Samples of a stretch that is no accident: longer than a fading silence passes for one. */
const STRETCH = 0.02 * RATE;

function listenTo(samples: Int16Array): Heard {
  const turn = 2 * Math.cos((2 * Math.PI * TONE_HZ) / RATE);
  const stretches: number[] = [];
  let count = 0;
  let loud = 0;
  let loudSamples = 0;
  for (let i = 2; i < samples.length; i++) {
    loud = Math.max(Math.abs(samples[i]), loud * 0.999);
    if (loud > 6000) loudSamples++;
    const isTone = loud > 6000 && Math.abs(samples[i] - turn * samples[i - 1] + samples[i - 2]) < 300;
    if (!isTone && count > 0) stretches.push(count);
    count = isTone ? count + 1 : 0;
  }
  stretches.push(count);
  const tone = stretches.reduce((sum, one) => sum + (one >= STRETCH ? one : 0), 0);
  return { longest: Math.max(...stretches), tone, other: loudSamples - tone };
}

it('is the tone', async () => {
  const { gateway, desktop, log } = await openGateway();
  closers.push(() => gateway.close());
  const args = ['/sec:tls', '/bpp:24', '/sound:sys:pulse'];
  const client = RdpClient.freerdp(display, { port: gateway.port, args, environment });
  closers.push(() => client.close());
  await eventually('a listener', () => desktop.listeners.size > 0 || undefined).catch(() => {
    throw new Error(`${log.join('\n')}\n${client.log}`);
  });
  const heard = server.record();
  playTone((samples) => desktop.play(samples));
  // On a busy host the sound server itself falls silent now and then: half a second in a row is asked for.
  const look = (): true | undefined => (listenTo(heard()).longest >= RATE / 2 ? true : undefined);
  await eventually('a tone', look, 40_000).catch((cause: Error) => {
    const found = JSON.stringify(listenTo(heard()));
    throw new Error(`${cause.message}: ${found} of ${heard().length}\n${client.log.slice(-2000)}`);
  });
});

it('is not heard where sound is switched off, or the client wants none', async () => {
  const disabled = { display: false, input: false, audio: true };
  const silent = await openGateway({ disabled });
  closers.push(() => silent.gateway.close());
  const one = RdpClient.freerdp(display, {
    port: silent.gateway.port,
    args: ['/sec:tls', '/sound:sys:pulse'],
    environment,
  });
  closers.push(() => one.close());
  await one.window();
  const plain = await openGateway();
  closers.push(() => plain.gateway.close());
  const other = RdpClient.freerdp(display, { port: plain.gateway.port, args: ['/sec:tls'] });
  closers.push(() => other.close());
  await other.window();
  await eventually('pictures', () => silent.gateway.activeCount + plain.gateway.activeCount === 2 || undefined);
  expect([silent.desktop.listeners.size, plain.desktop.listeners.size]).toEqual([0, 0]);
});

it('of a guest with ALSA is heard as well', { timeout: 600_000 }, async () => {
  const machine = new Headless([
    ...['--kernel', guest('default-kernel'), '--initrd', guest('default-initrd'), '--initrd', guest('sound-initrd')],
    ...['--append', 'console=ttyS0 quiet rdinit=/sbin/sound-init', '--audio-enabled', 'on'],
    ...['--vrde', 'on', '--vrdeport', '41000-41100'],
  ]);
  closers.push(() => machine.kill());
  await machine.serial(/BOOT-OK/, 300);
  const port = Number(/RDP: \S+:(\d+)\n/.exec(machine.errors)?.[1]);
  const client = RdpClient.freerdp(display, { port, args: ['/sec:tls', '/bpp:24', '/sound:sys:pulse'], environment });
  closers.push(() => client.close());
  await client.window();
  const heard = server.record();
  const from = machine.output.length;
  machine.type('speaker-test -D plughw:0 -c 1 -r 48000 -t sine -f 1000 -l 1; echo played="$?"\n');
  await machine.serial(/played=\d/, 120, from);
  // A guest on a busy host plays more slowly than time goes by, and then there is silence in between; no other sound.
  // That nothing is lost on the way is what the first test and sharing-guest.test.ts are for.
  const { tone, other } = listenTo(heard());
  expect(tone, client.log.slice(-2000)).toBeGreaterThanOrEqual(RATE / 2);
  expect(other).toBeLessThan(tone / 2);
});
