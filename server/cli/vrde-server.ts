// The RDP gateway of a run, as its options ask for it.

import { hostname } from 'node:os';
import type { Desktop } from '#display/desktop/desktop.ts';
import { RdpGateway } from '../rdp/gateway.ts';
import { keptSelfSigned, type TlsIdentity, tlsIdentity } from '../rdp/security/certificate.ts';
import type { CredSspSettings } from '../rdp/security/credssp.ts';
import { checkByPam } from '../rdp/security/pam.ts';
import {
  checkByProgram,
  checkKnownUsers,
  type KnownUsers,
  ntHashOf,
  type PasswordCheck,
  usersFromExtraData,
} from '../rdp/security/users.ts';
import { readPem, type VrdeOptions } from './vrde-options.ts';

const PROGRAM_TIMEOUT_MS = 15_000;

/** @param log gets what an operator may want to know. @throws CodedError */
export async function openVrde(
  desktop: Desktop,
  options: VrdeOptions,
  log: (text: string) => void,
): Promise<RdpGateway> {
  const users = usersFromExtraData(options.extraData);
  const identity = await identityOf(options);
  const { address, ports, multiple, reuse, method, disableDisplay, disableInput } = options;
  const { clipboard, videoQuality, disableAudio: audio, disableUpstreamAudio: upstreamAudio } = options;
  return RdpGateway.open(desktop, {
    ...{ address, ports, multiple, reuse, identity, log, clipboard, videoQuality },
    policy: { method, credSsp: credSspOf(options, users, identity), credSspOnly: false },
    check: await checkOf(options, users),
    disabled: { display: disableDisplay, input: disableInput, audio, upstreamAudio },
  });
}

async function identityOf(options: VrdeOptions): Promise<TlsIdentity> {
  const { certificate, privateKey, authority, keptCertificate } = options;
  if (certificate === undefined || privateKey === undefined) return keptSelfSigned(keptCertificate);
  return tlsIdentity(
    readPem(certificate),
    readPem(privateKey),
    authority === undefined ? undefined : readPem(authority),
  );
}

/** NTLM needs hashes of its own kind; where there are none, clients are not asked to use it. */
function credSspOf(options: VrdeOptions, users: KnownUsers, identity: TlsIdentity): CredSspSettings | undefined {
  if (options.authType !== 'external' || users.nt.size === 0) return undefined;
  return {
    serverName: hostname(),
    nowMs: () => Date.now(),
    hashOf: ntHashOf(users),
    publicKey: identity.publicKey,
  };
}

/** As VirtualBox's module finds its service. */
const PAM_SERVICE_VARIABLES = ['VBOX_AUTH_PAM_SERVICE', 'VRDP_AUTH_PAM_SERVICE'] as const;
const USUAL_PAM_SERVICE = 'login';

async function checkOf({ authType, authLibrary }: VrdeOptions, users: KnownUsers): Promise<PasswordCheck> {
  if (authType === 'null') return async () => true;
  // No guest has an agent that could answer.
  if (authType === 'guest') return async () => false;
  if (authLibrary === 'VBoxAuthSimple') return checkKnownUsers(users);
  if (authLibrary === 'VBoxAuth') {
    const service = PAM_SERVICE_VARIABLES.map((name) => process.env[name]).find(Boolean) ?? USUAL_PAM_SERVICE;
    return checkByPam({ service, timeoutMs: PROGRAM_TIMEOUT_MS });
  }
  return checkByProgram(authLibrary, PROGRAM_TIMEOUT_MS);
}
