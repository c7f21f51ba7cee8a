// An emulator in a tab of Chromium as one more emulator for run.mjs: its first serial port on stdin and stdout.
//
//   node chromium-run.mjs ours|v86 KERNEL INITRD COMMAND-LINE MEMORY-MB BIOS VGA-BIOS
//
// `ours` is the built page as people open it; `v86` a page with nothing but v86. `STARTING` on stderr: the browser is there,
// and the machine is switched on. SIGTERM ends everything.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { chromium } from 'playwright';
import { ROOT } from '../../server/bin/prepare.mjs';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const READY_MS = 120_000;
const POLL_MS = 25;

const [kind, kernel, initrd, commandLine, memoryMb, bios, vgaBios] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'tabbox-bench-'));
const ends = [];

async function end(status) {
  for (const one of ends.splice(0).reverse()) await one();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  process.exit(status);
}
process.once('SIGTERM', () => void end(0));

async function openPage(url) {
  const executablePath = CHROMIUM.find((path) => existsSync(path));
  const context = await chromium.launchPersistentContext(join(folder, 'profile'), {
    ...(executablePath ? { executablePath } : {}),
    args: ['--no-sandbox'],
  });
  ends.push(() => context.close());
  const page = context.pages()[0] ?? (await context.newPage());
  page.on('pageerror', (error) => process.stderr.write(`${error.message}\n`));
  page.on('crash', () => void end(1));
  await page.exposeFunction('fromGuest', (text) => void process.stdout.write(text));
  await page.goto(url);
  return page;
}

/** The page, guests and relay as `tabbox serve` has them. @returns URL */
function serve() {
  const command = [join(ROOT, 'dist', 'node', 'main.js'), 'serve', '--port', '0', '--state', join(folder, 'state')];
  const server = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] });
  ends.push(() => server.kill());
  return new Promise((resolve, reject) => {
    let text = '';
    server.stdout.on('data', (data) => {
      text += data;
      const url = /http:\S+/.exec(text)?.[0];
      if (url) resolve(url);
    });
    server.once('exit', (status) => reject(new Error(`the server ended with status ${status}`)));
  });
}

async function startOurs() {
  const page = await openPage(await serve());
  await page.getByTestId('new-machine').click();
  await page.getByTestId('choose-files').setInputFiles([kernel, initrd]);
  await page.getByTestId('file').nth(1).waitFor();
  await page.getByTestId('memory').fill(memoryMb);
  await page.getByTestId('command-line').fill(commandLine);
  process.stderr.write('STARTING\n');
  await page.getByTestId('dialog-ok').click();
  await page.waitForFunction(() => globalThis.tabbox.state() === 'running', undefined, { timeout: READY_MS });
  await page.evaluate((pollMs) => {
    let seen = '';
    setInterval(() => {
      const text = globalThis.tabbox.serialText();
      if (text.length === seen.length) return;
      // Less than what the page keeps comes between two looks.
      const overlap = text.startsWith(seen) ? seen.length : text.lastIndexOf(seen.slice(-2000)) + 2000;
      globalThis.fromGuest(text.slice(overlap));
      seen = text;
    }, pollMs);
  }, POLL_MS);
  return { send: (text) => page.evaluate((line) => globalThis.tabbox.sendSerial(line), text) };
}

async function startV86() {
  const build = join(dirname(createRequire(import.meta.url).resolve('v86/package.json')), 'build');
  const files = {
    '/libv86.mjs': [join(build, 'libv86.mjs'), 'text/javascript'],
    '/v86.wasm': [join(build, 'v86.wasm'), 'application/wasm'],
    ...{ '/kernel': [kernel], '/initrd': [initrd], '/bios': [bios], '/vgabios': [vgaBios] },
  };
  const server = createServer((request, response) => {
    const [path, type = 'application/octet-stream'] = files[request.url ?? ''] ?? [];
    if (path) response.setHeader('Content-Type', type).end(readFileSync(path));
    else response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>v86</title>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => server.closeAllConnections());
  const page = await openPage(`http://127.0.0.1:${server.address().port}/`);
  process.stderr.write('STARTING\n');
  await page.evaluate(
    async ({ cmdline, memory, pollMs }) => {
      const { V86 } = await import('/libv86.mjs');
      /** Padded to words: v86 looks at a kernel through a Uint32Array. */
      const load = async (url) => {
        const file = new Uint8Array(await (await fetch(url)).arrayBuffer());
        const bytes = new Uint8Array((file.length + 3) & ~3);
        bytes.set(file);
        return { buffer: bytes.buffer };
      };
      const emulator = new V86({
        wasm_path: '/v86.wasm',
        memory_size: memory << 20,
        vga_memory_size: 8 << 20,
        bios: await load('/bios'),
        vga_bios: await load('/vgabios'),
        bzimage: await load('/kernel'),
        initrd: await load('/initrd'),
        cmdline,
        autostart: true,
        disable_speaker: true,
        net_device: { type: 'none' },
      });
      let pending = '';
      emulator.add_listener('serial0-output-byte', (byte) => {
        pending += String.fromCharCode(byte);
      });
      setInterval(() => {
        if (pending) globalThis.fromGuest(pending);
        pending = '';
      }, pollMs);
      globalThis.v86 = emulator;
    },
    { cmdline: commandLine, memory: Number(memoryMb), pollMs: POLL_MS },
  );
  return { send: (text) => page.evaluate((line) => globalThis.v86.serial0_send(line), text) };
}

try {
  const machine = await (kind === 'v86' ? startV86() : startOurs());
  process.stdin.setEncoding('latin1').on('data', (text) => void machine.send(text).catch(() => {}));
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  await end(1);
}
