/** Entry point of the storage worker, a module worker: `Comlink.wrap<StorageService>(worker)` on the page's side. */
import * as Comlink from 'comlink';
import { carryCodedErrors } from '#emu/workers/coded-errors.ts';
import { StorageService } from './storage-service.ts';

carryCodedErrors();
Comlink.expose(new StorageService());
