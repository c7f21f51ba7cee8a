// What `npm start` and `tabbox serve` run: the page, guest images and the relay on one port.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CodedError } from '#base/errors.ts';
import { parseServeOptions, type ServeCommandOptions, serveUsage } from '../bin/serve-options.mjs';
import { type RunningServer, startServer } from '../http/serve.ts';
import { Networks } from '../net/networks.ts';
import { JoinTokens, loadTokenKey, stateDirectory } from '../relay/join-tokens.ts';
import { NetService } from '../relay/net-service.ts';
import { Relay } from '../relay/relay.ts';
import type { RelayService } from '../relay/service.ts';
import { SessionService } from '../session/session-service.ts';
import { guestsDirectory } from './guests-directory.ts';
import { STATUS } from './machine-messages.ts';
import { parseDhcpServer, parseHostOnlyInterface, parseNatNetwork, setUpNetworks } from './shared-network-options.ts';

export interface ServeDirectories {
  /** The built page. */
  readonly pageDirectory: string;
  readonly guestsDirectory: string;
}

/** Everything that the relay offers to pages: a new service is one line here. */
export function relayServices(tokens: JoinTokens, networks: Networks = new Networks()): RelayService[] {
  return [new NetService(networks), new SessionService(tokens)];
}

/** @throws CodedError what is wrong with the options, the state directory or the port */
export async function startFromOptions(
  given: ServeCommandOptions,
  directories: ServeDirectories,
): Promise<RunningServer> {
  const { host, ports, tlsCertificate, tlsKey, ownPageTokens } = given;
  const networks = new Networks();
  setUpNetworks(networks, {
    natNetworks: given.natNetworks.map(parseNatNetwork),
    dhcpServers: given.dhcpServers.map(parseDhcpServer),
    hostOnlyInterfaces: given.hostOnlyInterfaces.map(parseHostOnlyInterface),
  });
  const tokens = new JoinTokens(loadTokenKey(given.state ?? stateDirectory()));
  const tls = tlsCertificate !== undefined && tlsKey !== undefined && [tlsCertificate, tlsKey].map(readPem);
  return await startServer({
    ...{ ...directories, host, ports },
    ...(tls ? { tls: { certificate: tls[0], key: tls[1] } } : {}),
    extension: new Relay({ tokens, services: relayServices(tokens, networks), ownPageTokens }),
  });
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new CodedError('bad-certificate', `${path} cannot be read; give a PEM file`, { path }, cause);
  }
}

/** Serves until the process is told to end. @returns its exit status @throws CodedError */
export async function serveUntilSignal(given: ServeCommandOptions, directories: ServeDirectories): Promise<number> {
  const server = await startFromOptions(given, directories);
  process.stdout.write(`TabBox is at ${server.url} (Ctrl-C ends it)\n`);
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  await server.close();
  return STATUS.ok;
}

const USAGE = serveUsage('tabbox serve');
/** This file is built to dist/node. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** @param args behind `tabbox serve` */
export async function serveCommand(args: readonly string[]): Promise<number> {
  let given: ServeCommandOptions;
  try {
    given = parseServeOptions(args);
  } catch (error) {
    process.stderr.write(`tabbox serve: ${(error as Error).message}\n${USAGE}`);
    return STATUS.usage;
  }
  if (given.help) {
    process.stdout.write(USAGE);
    return STATUS.ok;
  }
  try {
    const pageDirectory = join(ROOT, 'dist', 'page');
    return await serveUntilSignal(given, { pageDirectory, guestsDirectory: guestsDirectory() });
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    process.stderr.write(`tabbox serve: ${error.message}\n`);
    return STATUS.usage;
  }
}
