/** What xfreerdp's microphone hears is what a guest records. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { guest, Headless } from './support/headless.ts';
import { Display, eventually, RdpClient } from './support/rdp-clients.ts';
import { openGateway } from './support/rdp-gateways.ts';
import { SoundServer } from './support/sound-server.ts';
import { ToneFinder } from './support/tone.ts';

const TONE_HZ = 1000;
/** Rounding on the way through the sound server and mixers. */
const NOISE = 300;
const MICROPHONE = ['/sec:tls', '/bpp:24', '/microphone:sys:pulse'];

let display: Display;
let server: SoundServer;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  display = await Display.open();
  server = await SoundServer.open();
});
afterEach(async () => {
  server.hush();
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(async () => {
  server.close();
  await display.close();
});

const clientOf = (port: number): RdpClient => {
  const client = RdpClient.freerdp(display, { port, args: MICROPHONE, environment: server.environment });
  closers.push(() => client.close());
  return client;
};

it('is opened while the machine records, closed afterwards, and opened again', async () => {
  const { gateway, desktop } = await openGateway();
  closers.push(() => gateway.close());
  const client = clientOf(gateway.port);
  server.speak();
  await client.window();
  const want = async (wanted: boolean): Promise<void> => {
    await eventually('a microphone', () => desktop.plugged.size > 0 || undefined);
    for (const tell of desktop.plugged) tell(wanted);
  };
  for (let round = 0; round < 3; round++) {
    await want(true);
    const finder = new ToneFinder(TONE_HZ, NOISE);
    let at = 0;
    const look = (): true | undefined => {
      const fresh = desktop.recorded.splice(0);
      finder.hear(
        Int16Array.from({ length: fresh.length * 2 }, (_, i) => fresh[i >> 1]),
        at,
      );
      at += fresh.length;
      return finder.tone.frames >= 12_000 || undefined;
    };
    await eventually(`a tone in round ${round}`, look, 40_000).catch((cause: Error) => {
      throw new Error(`${cause.message}: ${JSON.stringify(finder.tone)} of ${at}\n${client.log.slice(-2000)}`);
    });
    expect(Math.abs(finder.tone.frequencyHz - TONE_HZ)).toBeLessThan(1);
    await want(false);
    await new Promise((resolve) => setTimeout(resolve, 500));
    desktop.recorded.length = 0;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(desktop.recorded).toEqual([]);
  }
  expect(client.exited).toBe(false);
});

it('is left alone where upstream audio is switched off', async () => {
  const disabled = { display: false, input: false, audio: false, upstreamAudio: true };
  const { gateway, desktop } = await openGateway({ disabled });
  closers.push(() => gateway.close());
  await clientOf(gateway.port).window();
  await eventually('a picture', () => gateway.activeCount === 1 || undefined);
  expect(desktop.plugged.size).toBe(0);
});

/** What arecord has heard, as two channels. */
async function recordIn(machine: Headless, name: string): Promise<Int16Array> {
  const from = machine.output.length;
  machine.type(
    `arecord -q -D hw:0 -f S16_LE -c 2 -r 48000 -t raw -d 3 /tmp/${name}; base64 -w 0 /tmp/${name}; echo; echo did-$((6*7))-${name}\n`,
  );
  const said = await machine.serial(`did-42-${name}`, 180, from);
  const [text] = said.match(/[A-Za-z0-9+/]{1000,}=*/) ?? [''];
  const bytes = Buffer.from(text, 'base64');
  return Int16Array.from({ length: bytes.length >> 1 }, (_, i) => bytes.readInt16LE(i * 2));
}

it('is recorded by a guest with ALSA, if the machine may', { timeout: 900_000 }, async () => {
  const start = async (audioIn: string): Promise<{ machine: Headless; client: RdpClient }> => {
    const machine = new Headless([
      ...['--kernel', guest('default-kernel'), '--initrd', guest('default-initrd'), '--initrd', guest('sound-initrd')],
      ...['--append', 'console=ttyS0 quiet rdinit=/sbin/sound-init', '--audio-enabled', 'on', '--audio-in', audioIn],
      ...['--vrde', 'on', '--vrdeport', '41000-41100'],
    ]);
    closers.push(() => machine.kill());
    await machine.serial(/BOOT-OK/, 300);
    machine.type('amixer -q sset Capture 0dB cap\n');
    const client = clientOf(Number(/RDP: \S+:(\d+)\n/.exec(machine.errors)?.[1]));
    await client.window();
    return { machine, client };
  };
  server.speak();
  const { machine, client } = await start('on');
  // A guest on a busy host may be too slow for its own sound card: then it records again.
  let best = new ToneFinder(TONE_HZ, NOISE).tone;
  for (let attempt = 0; attempt < 4 && best.frames < 12_000; attempt++) {
    const finder = new ToneFinder(TONE_HZ, NOISE);
    finder.hear(await recordIn(machine, `a${attempt}`), 0);
    if (finder.tone.frames > best.frames) best = finder.tone;
  }
  expect(best.frames, client.log.slice(-2000)).toBeGreaterThanOrEqual(12_000);
  expect(Math.abs(best.frequencyHz - TONE_HZ)).toBeLessThan(1);
  expect(Math.abs(best.peak - 12_000 / 32_768)).toBeLessThan(0.02);
  await machine.kill();
  const silent = await start('off');
  const heard = await recordIn(silent.machine, 'b');
  expect(heard.length).toBeGreaterThan(96_000);
  expect(heard.every((sample) => sample === 0)).toBe(true);
});
