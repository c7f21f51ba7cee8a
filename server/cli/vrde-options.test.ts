import { describe, expect, it } from 'vitest';
import { parseRunOptions, type RunOptions } from './run-options.ts';
import type { VrdeOptions } from './vrde-options.ts';

function vrde(...args: string[]): VrdeOptions | undefined {
  return (parseRunOptions(args) as RunOptions).vrde;
}

describe('options of the remote display', () => {
  it('are off, and safe when they are on', () => {
    expect(vrde()).toBeUndefined();
    expect(vrde('--vrdeport', '5000')).toBeUndefined();
    expect(vrde('--vrde', 'on')).toMatchObject({
      ...{ address: '127.0.0.1', ports: [3389], method: 'tls', authType: 'null', multiple: false, reuse: false },
      warnings: [],
    });
    expect(vrde('--vrde', 'on', '--vrdeaddress', '0.0.0.0')).toMatchObject({ authType: 'external', warnings: [] });
  });

  it('take lists and ranges of ports', () => {
    expect(vrde('--vrde=on', '--vrdeport=5000,5010-5012')?.ports).toEqual([5000, 5010, 5011, 5012]);
    expect(vrde('--vrde', 'on', '--vrdeproperty', 'TCP/Ports=4000')?.ports).toEqual([4000]);
    expect(vrde('--vrde', 'on', '--vrdeports', 'default')?.ports).toEqual([3389]);
  });

  it.each([
    ['--vrdeport', '70000'],
    ['--vrdeport', '5012-5010'],
    ['--vrde', 'yes'],
    ['--clipboard-mode', 'on'],
    ['--clipboard-file-transfers', 'on'],
    ['--vrdeauthtype', 'password'],
    ['--vrdeproperty', 'Security/Method=none'],
    ['--vrdeproperty', 'Nonsense=1'],
    ['--vrdeproperty', 'Security/Method'],
    ['--vrdeproperty', 'Security/ServerCertificate=x.pem'],
  ])('refuse %s %s', (option, value) => {
    expect(() => vrde(option, value)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it('have old spellings, with the warning of VBoxManage', () => {
    const old = vrde('--vrdp', 'on', '--vrdpport', '5000', '--vrdpmulticon', 'on');
    expect(old).toMatchObject({ ports: [5000], multiple: true });
    expect(old?.warnings).toContain("Warning: '--vrdpport' is deprecated. Use '--vrdeport'.");
    expect(vrde('--vrde', 'on', '--vrde-multi-con', 'on', '--vrde-auth-type', 'guest')).toMatchObject({
      ...{ multiple: true, authType: 'guest' },
    });
  });

  it('read features of the client from properties and from the extradata of older machines', () => {
    expect(vrde('--vrde', 'on', '--vrdeproperty', 'Client/DisableInput=1')).toMatchObject({ disableInput: true });
    const old = vrde('--vrde', 'on', '--extradata', 'VRDP/Feature/Client/DisableDisplay=1');
    expect(old).toMatchObject({ disableDisplay: true, disableInput: false });
  });

  it('share clipboards only where somebody asked for it', () => {
    const none = { fromClient: false, toClient: false };
    expect(vrde('--vrde', 'on')?.clipboard).toEqual(none);
    const both = ['--vrde', 'on', '--clipboard-mode', 'bidirectional'];
    expect(vrde(...both)?.clipboard).toEqual({ fromClient: true, toClient: true });
    expect(vrde('--vrde', 'on', '--clipboard', 'hosttoguest')?.clipboard).toEqual({
      fromClient: true,
      toClient: false,
    });
    const files = [...both, '--clipboard-file-transfers', 'enabled'];
    expect(vrde(...files)?.clipboard).toEqual({ fromClient: true, toClient: true, files: true });
    expect(vrde(...files, '--vrdeproperty', 'Client/DisableClipboard=1')?.clipboard).toEqual(none);
    expect(vrde(...both, '--vrdeproperty', 'Client/DisableClipboard=1')?.clipboard).toEqual(none);
    expect(vrde(...both, '--extradata', 'VRDP/Feature/Client/DisableClipboard=1')?.clipboard).toEqual(none);
  });

  it('switch off what clients may do', () => {
    const options = vrde('--vrde', 'on', '--vrdeproperty', 'Client/DisableUpstreamAudio=1');
    expect([options?.disableUpstreamAudio, options?.disableAudio]).toEqual([true, false]);
  });

  it('warn of doors without a lock', () => {
    const open = vrde('--vrde', 'on', '--vrdeaddress', '0.0.0.0', '--vrdeauthtype', 'null');
    expect(open?.warnings[0]).toContain('anybody');
  });
});
