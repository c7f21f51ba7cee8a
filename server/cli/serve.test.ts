import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { parseServeOptions } from '../bin/serve-options.mjs';
import { startFromOptions } from './serve.ts';
import { parseLife } from './token.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tabbox-serve-'));
  writeFileSync(join(root, 'index.html'), '<!doctype html>');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));
const directories = () => ({ pageDirectory: root, guestsDirectory: root });

describe('the options of serve', () => {
  it('keep to this computer unless told otherwise', () => {
    expect(parseServeOptions([])).toMatchObject({ host: '127.0.0.1', ownPageTokens: true, tlsKey: undefined });
    expect(parseServeOptions(['--host', '0.0.0.0']).ownPageTokens).toBe(true);
    expect(parseServeOptions(['--no-own-page-tokens']).ownPageTokens).toBe(false);
    expect(parseServeOptions(['--port', '0']).ports).toEqual([0]);
  });

  it('set networks of pages up', async () => {
    const networks = ['--natnetwork', 'lab,network=10.9.0.0/24', '--dhcpserver', 'network=lan'];
    const server = await startFromOptions(
      parseServeOptions(['--port', '0', '--state', root, ...networks, '--hostonlyif', 'vboxnet0,ip=10.8.0.1']),
      directories(),
    );
    await server.close();
    const wrong = parseServeOptions(['--port', '0', '--state', root, '--natnetwork', 'lab,network=nowhere']);
    await expect(startFromOptions(wrong, directories())).rejects.toThrow(
      /--natnetwork lab: 'nowhere' is not a network/,
    );
  });

  it('say what is wrong', () => {
    expect(() => parseServeOptions(['--port', '70000'])).toThrow(/--port takes a number from 0 to 65535/);
    expect(() => parseServeOptions(['--tls-key', 'k'])).toThrow(/go together/);
    expect(() => parseServeOptions(['--prot', '1'])).toThrow(/--prot/);
    expect(parseLife('15m')).toBe(900);
    expect(() => parseLife('15')).toThrow(/a time is a number and s, m, h or d, not '15'/);
  });
});

describe('serving with a certificate', () => {
  it('speaks TLS to pages and WebSockets', async () => {
    const [key, certificate] = [join(root, 'key.pem'), join(root, 'certificate.pem')];
    const subject = ['-subj', '/CN=localhost', '-days', '2', '-nodes'];
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    const made = spawnSync('openssl', ['req', '-x509', ...ec, ...subject, '-keyout', key, '-out', certificate]);
    expect(made.status, String(made.stderr)).toBe(0);
    const options = ['--port', '0', '--state', root, '--tls-certificate', certificate, '--tls-key', key];
    const server = await startFromOptions(parseServeOptions(options), directories());
    expect(server.url).toBe(`https://127.0.0.1:${server.port}/`);
    const health = await new Promise<string>((resolve, reject) => {
      get(`${server.url}healthz`, { rejectUnauthorized: false }, (response) => {
        response.on('data', (data: Buffer) => resolve(String(data)));
      }).on('error', reject);
    });
    expect(JSON.parse(health)).toMatchObject({ status: 'ok' });
    const socket = new WebSocket(`wss://127.0.0.1:${server.port}/relay/none`, ['tabbox'], {
      rejectUnauthorized: false,
    });
    const error = await new Promise<Error>((resolve) => socket.once('error', resolve));
    expect(error.message).toContain('404');
    await server.close();
  });

  it('names a file that is none', async () => {
    const file = join(root, 'index.html');
    const options = ['--port', '0', '--state', root, '--tls-certificate', file, '--tls-key', file];
    await expect(startFromOptions(parseServeOptions(options), directories())).rejects.toThrow(/both are PEM files/);
    const missing = options.map((one) => (one === file ? join(root, 'missing.pem') : one));
    await expect(startFromOptions(parseServeOptions(missing), directories())).rejects.toThrow(/missing.pem cannot be/);
  });
});
