import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RegionWorkers } from './region-workers.ts';

const PATIENCE = { timeout: 30_000 };
let folder: string;
let workers: RegionWorkers;
let started: { port: MessagePort; why: string }[];
let givenUp: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-regions-'));
  started = [];
  givenUp = [];
});

afterEach(() => {
  workers.close();
  for (const { port } of started) port.close();
  rmSync(folder, { recursive: true, force: true });
});

/** @param code of the thread; undefined: there is no such file */
function start(code: string | undefined): void {
  const path = join(folder, 'worker.mjs');
  if (code !== undefined) writeFileSync(path, code);
  workers = new RegionWorkers({
    url: pathToFileURL(path),
    onStarted: (port, why) => started.push({ port, why }),
    onGivenUp: (message) => givenUp.push(message),
  });
}

describe('threads that compile', () => {
  it('are given up when they cannot be started', async () => {
    start(undefined);
    await expect.poll(() => givenUp, PATIENCE).toHaveLength(1);
    expect(givenUp[0]).toMatch(/slower.*Cannot find module/);
    expect(started).toHaveLength(5);
  });

  it('are replaced when one dies of what it was sent, or does not answer', async () => {
    start(`import { workerData } from 'node:worker_threads';
      workerData.on('message', (text) => {
        if (text === 'die') throw new Error('of ' + text);
        workerData.postMessage(text + ' back');
      });`);
    started[0].port.postMessage('die');
    await expect.poll(() => started.length, PATIENCE).toBe(2);
    expect(started[1].why).toBe('of die');
    const { port } = started[1];
    port.postMessage('come');
    await expect.poll(() => receiveMessageOnPort(port)?.message, PATIENCE).toBe('come back');
    workers.restart();
    await expect.poll(() => started.length, PATIENCE).toBe(3);
    expect(started[2].why).toMatch(/no answer/);
    expect(givenUp).toEqual([]);
  });
});
