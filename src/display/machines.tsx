/** The page of somebody's own machines: starts the storage worker, knows how to start the others, draws the shell. */
import * as Comlink from 'comlink';
import { render } from 'preact';
import { carryCodedErrors } from '#emu/workers/coded-errors.ts';
import type { StorageService } from '#storage/worker/storage-service.ts';
import type { RelayAddress } from '../net-relay/worker/relay-carrier.ts';
import { MachineLibrary } from './session/machine-library.ts';
import { App } from './ui/app.tsx';
import { installDebugHandle } from './ui/debug-handle.ts';
import { Shell } from './ui/shell.ts';

const newMachineWorker = (): Worker =>
  new Worker(new URL('../emu/workers/machine-worker.ts', import.meta.url), { type: 'module', name: 'machine' });

const newShareWorker = (): Worker =>
  new Worker(new URL('./sharing/share-worker.ts', import.meta.url), { type: 'module', name: 'share' });

const newStorageWorker = (): Worker =>
  new Worker(new URL('../storage/worker/storage-worker.ts', import.meta.url), { type: 'module', name: 'storage' });

const newNetworkWorker = (): Worker =>
  new Worker(new URL('../net-relay/worker/network-worker.ts', import.meta.url), { type: 'module', name: 'network' });

/** `#relay=ADDRESS&token=TOKEN`: a link to somebody's relay; the fragment stays in the browser. */
function relayOf(address: URL): RelayAddress {
  const given = new URLSearchParams(address.hash.slice(1));
  const other = given.get('relay');
  const base = new URL('.', document.baseURI).href;
  const url = other !== null && URL.canParse(other) ? new URL('.', other).href : base;
  return { url, token: given.get('token') ?? undefined };
}

/** @throws what the address asks for cannot be opened */
export async function showMachines(root: HTMLElement): Promise<void> {
  carryCodedErrors();
  const storage = Comlink.wrap<StorageService>(newStorageWorker());
  const library = new MachineLibrary({
    ...{ storage, newMachineWorker, newShareWorker, newNetworkWorker },
    base: document.baseURI,
    relay: relayOf(new URL(location.href)),
  });
  const shell = new Shell(library);
  installDebugHandle(shell);
  render(<App shell={shell} />, root);
  await shell.open(new URL(location.href));
}
