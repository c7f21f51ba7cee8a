// Entry point of the machine's thread.

import { workerData } from 'node:worker_threads';
import { CodedError } from '#base/errors.ts';
import { type FromMachine, type MachineWorkerData, STATUS } from './machine-messages.ts';
import { MachineRunner } from './machine-runner.ts';

const data = workerData as MachineWorkerData;
const send = (message: FromMachine): void => data.port.postMessage(message);

try {
  new MachineRunner(data).run();
} catch (cause) {
  if (cause instanceof CodedError) send({ kind: 'ended', status: STATUS.usage, message: cause.message });
  else {
    const why = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    send({ kind: 'ended', status: STATUS.broken, message: `the machine broke; please report this:\n${why}` });
  }
}
data.port.close();
