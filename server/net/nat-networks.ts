// NAT networks that machines share: made, changed, stopped and started while machines are on them.

import { CodedError } from '#base/errors.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import {
  changeNatNetwork,
  type NatNetworkSettings,
  type NatNetworkWord,
  natNetworkConfigOf,
  parseNatNetworkRule,
  usualNatNetwork,
} from '../../src/net-relay/nat/nat-network-settings.ts';
import { NAT_RIGHTS, NatDriver } from './nat-driver.ts';
import { FORWARD_HOST_IP } from './open-nat.ts';
import { hostDomain } from './own-addresses.ts';
import type { HostEnd } from './shared-network.ts';

/** A network's NAT, at its switch. */
class NatNetwork {
  readonly #end: PacketPort;
  #settings: NatNetworkSettings;
  #nat: NatDriver | undefined;
  /** Rules in force, as the settings have them. */
  #rules: readonly string[] = [];

  constructor(end: PacketPort, settings: NatNetworkSettings) {
    this.#end = end;
    this.#settings = settings;
  }

  /** Undefined while it is stopped. */
  get nat(): NatDriver | undefined {
    return this.#nat;
  }

  async start(): Promise<void> {
    if (this.#nat) return;
    const config = natNetworkConfigOf(this.#settings);
    const nat = new NatDriver(this.#end, {
      config: { ...config, domain: hostDomain() },
      // The host's loopback is nowhere but where mappings say.
      rights: { ...NAT_RIGHTS, loopback: config.hostAt.length > 0 },
      ...{ resolver: {}, tftpFolder: undefined, forwardHostIp: FORWARD_HOST_IP },
    });
    this.#nat = nat;
    this.#rules = [];
    try {
      await this.#followRules(nat);
    } catch (cause) {
      this.stop();
      throw cause;
    }
  }

  async #followRules(nat: NatDriver): Promise<void> {
    const wanted = [...this.#settings.forwards4, ...this.#settings.forwards6];
    for (const text of this.#rules) {
      if (wanted.includes(text)) continue;
      this.#rules = this.#rules.filter((one) => one !== text);
      await nat.forwards.delete(parseNatNetworkRule(text).name);
    }
    for (const text of wanted) {
      if (this.#rules.includes(text)) continue;
      await nat.forwards.add(parseNatNetworkRule(text));
      this.#rules = [...this.#rules, text];
    }
  }

  stop(): void {
    this.#nat?.close();
    this.#nat = undefined;
  }

  /** Rules come and go while connections go on; anything else begins the network anew. */
  async change(settings: NatNetworkSettings): Promise<void> {
    const before = this.#settings;
    this.#settings = settings;
    if (settings.isEnabled && this.#nat && sameButForRules(before, settings)) return this.#followRules(this.#nat);
    const wasOn = this.#nat !== undefined;
    this.stop();
    if (settings.isEnabled && (wasOn || !before.isEnabled)) await this.start();
  }
}

function sameButForRules(a: NatNetworkSettings, b: NatNetworkSettings): boolean {
  return (
    JSON.stringify({ ...a, forwards4: [], forwards6: [] }) === JSON.stringify({ ...b, forwards4: [], forwards6: [] })
  );
}

export class NatNetworks {
  readonly #settings = new Map<string, NatNetworkSettings>();
  /** Those that machines are on. */
  readonly #open = new Map<string, NatNetwork>();
  /** Those that nobody has added: they are there while machines are. */
  readonly #implicit = new Set<string>();
  /** Stopped by hand. */
  readonly #stopped = new Set<string>();

  get all(): readonly NatNetworkSettings[] {
    return [...this.#settings.values()];
  }

  /** @throws CodedError<'network-exists' | 'bad-network' | 'bad-rule'> */
  add(name: string, words: readonly NatNetworkWord[]): void {
    if (this.#settings.has(name)) {
      throw new CodedError('network-exists', `there is a NAT network '${name}' already; modify or remove it`);
    }
    this.#settings.set(name, changeNatNetwork(usualNatNetwork(name), words));
  }

  /** @throws CodedError<'no-such-network' | 'bad-network' | 'bad-rule' | 'port-in-use'> and it is as it was */
  async modify(name: string, words: readonly NatNetworkWord[]): Promise<void> {
    const before = this.#of(name);
    const settings = changeNatNetwork(before, words);
    try {
      await this.#open.get(name)?.change(settings);
    } catch (cause) {
      await this.#open.get(name)?.change(before);
      throw cause;
    }
    this.#settings.set(name, settings);
    this.#implicit.delete(name);
  }

  /** Machines that are on it keep each other, and have no NAT. @throws CodedError<'no-such-network'> */
  remove(name: string): void {
    this.#of(name);
    this.#open.get(name)?.stop();
    this.#settings.delete(name);
    this.#implicit.delete(name);
    this.#stopped.delete(name);
  }

  /** @throws CodedError<'no-such-network' | 'bad-network' | 'port-in-use'> */
  async start(name: string): Promise<void> {
    const { isEnabled } = this.#of(name);
    if (!isEnabled)
      throw new CodedError('bad-network', `the NAT network '${name}' is disabled; modify it with --enable`);
    this.#stopped.delete(name);
    await this.#open.get(name)?.start();
  }

  /** @throws CodedError<'no-such-network'> */
  stop(name: string): void {
    this.#of(name);
    this.#stopped.add(name);
    this.#open.get(name)?.stop();
  }

  #of(name: string): NatNetworkSettings {
    const settings = this.#settings.get(name);
    if (settings) return settings;
    const known = [...this.#settings.keys()].join(', ') || 'none';
    throw new CodedError('no-such-network', `there is no NAT network '${name}'; add it first. There are: ${known}`);
  }

  /** For the first machine that comes. One that nobody has added is VirtualBox's usual one. */
  async open(name: string, end: PacketPort): Promise<HostEnd> {
    const known = this.#settings.get(name);
    const settings = known ?? usualNatNetwork(name);
    if (!known) {
      this.#settings.set(name, settings);
      this.#implicit.add(name);
    }
    const network = new NatNetwork(end, settings);
    try {
      if (settings.isEnabled && !this.#stopped.has(name)) await network.start();
    } catch (cause) {
      if (this.#implicit.delete(name)) this.#settings.delete(name);
      throw cause;
    }
    this.#open.set(name, network);
    return {
      ...{ isInterface: false, about: '' },
      get nat() {
        return network.nat;
      },
      close: () => {
        network.stop();
        if (this.#open.get(name) === network) this.#open.delete(name);
        if (this.#implicit.delete(name)) this.#settings.delete(name);
      },
    };
  }
}
