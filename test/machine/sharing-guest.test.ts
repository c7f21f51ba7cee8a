/** A guest with Debian's kernel that others use by a link: they hear what ALSA plays, and their files come as a CD. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Viewer } from '#display/sharing/viewer.ts';
import { relayServices } from '../../server/cli/serve.ts';
import { type RunningServer, startServer } from '../../server/http/serve.ts';
import { JoinTokens, loadTokenKey } from '../../server/relay/join-tokens.ts';
import { Relay } from '../../server/relay/relay.ts';
import { guest, Headless } from './support/headless.ts';
import { ToneFinder } from './support/tone.ts';

let folder = '';
let server: RunningServer;
let machine: Headless;
let viewer: Viewer;
const before = process.env['TABBOX_STATE'];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-sound-'));
  process.env['TABBOX_STATE'] = folder;
  const tokens = new JoinTokens(loadTokenKey(folder));
  server = await startServer({
    ...{ pageDirectory: folder, guestsDirectory: folder, host: '127.0.0.1', ports: [0] },
    extension: new Relay({ tokens, services: relayServices(tokens), ownPageTokens: false }),
  });
  machine = new Headless([
    ...['--kernel', guest('default-kernel'), '--initrd', guest('default-initrd'), '--initrd', guest('sound-initrd')],
    ...['--append', 'console=ttyS0 quiet rdinit=/sbin/sound-init', '--audio-enabled', 'on'],
    ...['--share', server.url, '--share-role', 'control'],
  ]);
}, 60_000);

afterAll(async () => {
  await machine?.kill();
  await server?.close();
  if (before === undefined) delete process.env['TABBOX_STATE'];
  else process.env['TABBOX_STATE'] = before;
  rmSync(folder, { recursive: true, force: true });
});

it('a tone of ALSA arrives as it was played, without a gap', { timeout: 600_000 }, async () => {
  await machine.serial(/BOOT-OK/, 300);
  machine.type('cat /proc/asound/cards\n');
  await machine.serial(/Intel 82801AA-ICH with STAC9700/, 60);
  const [, token = ''] = /may watch and type: \S+#join=(\S+)/.exec(machine.errors) ?? [];
  viewer = new Viewer({
    ...{ base: server.url, token, name: 'Ann', key: '', onKey: () => {} },
    newSocket: (url, protocols) => new WebSocket(url, protocols) as unknown as globalThis.WebSocket,
  });
  const finder = new ToneFinder(1000);
  const stop = viewer.sound.listen(finder.hear);
  // A guest on a busy computer may itself be too slow for its sound card: then it plays again.
  for (let round = 1; round <= 5 && finder.tone.frames < 48_000; round++) {
    const from = machine.output.length;
    machine.type('speaker-test -D plughw:0 -c 1 -r 48000 -t sine -f 1000 -l 1; echo played="$?"\n');
    await machine.serial(/played=\d/, 120, from);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const { frames, frequencyHz, peak } = finder.tone;
  console.log(`${frames} frames of ${frequencyHz.toFixed(2)} Hz, peak ${peak.toFixed(2)} of full scale`);
  expect(frames).toBeGreaterThanOrEqual(48_000);
  expect(Math.abs(frequencyHz - 1000)).toBeLessThan(1);
  expect(peak).toBeGreaterThan(0.3);
  stop();
});

it('files that a viewer gives are on a CD that Linux mounts', { timeout: 300_000 }, async () => {
  // More names than one sector of a directory holds, two of them alike in their first eight characters.
  const files = [
    { name: 'Grüße an alle.txt', bytes: randomBytes(1_000_001) },
    { name: 'A report of 2026.pdf', bytes: randomBytes(5000) },
    { name: 'A report of 2027.pdf', bytes: randomBytes(2048) },
    ...Array.from({ length: 50 }, (_, i) => ({ name: `number ${i}`, bytes: randomBytes(10 + i) })),
  ];
  await viewer.giveDisc(files.map(({ name, bytes }) => ({ name, blob: new Blob([Uint8Array.from(bytes)]) })));
  machine.type('modprobe -a ata_piix sr_mod isofs nls_utf8; until [ -e /dev/sr0 ]; do sleep 1; done\n');
  machine.type(
    'mount -t iso9660 -o ro,iocharset=utf8 /dev/sr0 /mnt; cd /mnt; sha256sum *; ls | wc -l; echo disc="$?"\n',
  );
  const output = await machine.serial(/disc=\d/, 120);
  for (const { name, bytes } of files) {
    expect(Buffer.from(output, 'latin1').toString()).toContain(
      `${createHash('sha256').update(bytes).digest('hex')}  ${name}`,
    );
  }
  // Without Joliet, as DOS has it.
  machine.type('cd /; umount /mnt; mount -t iso9660 -o ro,nojoliet,map=off /dev/sr0 /mnt; ls /mnt; echo plain="$?"\n');
  expect(await machine.serial(/plain=\d/, 60)).toMatch(
    /A_REPORT\.PDF[\s\S]*A_REPOR1\.PDF|A_REPOR1\.PDF[\s\S]*A_REPORT\.PDF/,
  );
  machine.type('umount /mnt\n');
  viewer.close();
});
