import { twoLanes } from './two-lanes.ts';

/** Whole machines in Node. Alone: what is judged by the clock, as pictures, sounds and rates. */
export default twoLanes({
  folder: 'test/machine',
  paired: [
    ...['amd64', 'qemu-tests', 'selftests', 'linux', 'network-boot', 'uefi', 'debugger', 'firmware', 'graphics-remote'],
    ...['rdp-security', 'host-networks', 'rdp-desktop-clients', 'graphics', 'rdp-krdc', 'rdp-reconnect', 'rdp-pam'],
    ...['relay-machines', 'rdp-link', 'rdp-machine', 'rdp-remmina', 'sharing', 'bad-input', 'bare-metal'],
  ],
});
