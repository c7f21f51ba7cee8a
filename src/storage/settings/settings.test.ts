import 'fake-indexeddb/auto';
import { createStore, set } from 'idb-keyval';
import { describe, expect, it } from 'vitest';
import { IndexedDbChangedBlocks } from '../layers/indexeddb-changed-blocks.ts';
import {
  type DriveSettings,
  findEvicted,
  type Migration,
  migrate,
  type NetworkCardSettings,
  parseMachineSettings,
} from './machine-settings.ts';
import { SettingsStore } from './settings-store.ts';
import { askPersistence, storageStatus } from './storage-status.ts';

let databases = 0;
let now = 1000;
function freshStore(): { store: SettingsStore; databaseName: string } {
  const databaseName = `settings-${databases++}`;
  return { store: new SettingsStore({ databaseName, now: () => now++ }), databaseName };
}

const DISK: DriveSettings = {
  controller: 'ide',
  port: 0,
  device: 0,
  medium: 'hard-disk',
  image: { kind: 'blank', sectorCount: 1000 },
  changes: 'keep',
  diskId: 'disk-1',
  hasChanges: false,
};

const CARD: NetworkCardSettings = {
  slot: 1,
  type: '82540EM',
  mac: '080027000001',
  cableConnected: true,
  attachment: { kind: 'nat', network: '', forwards: ['ssh,tcp,,2222,,22'] },
};

describe('SettingsStore', () => {
  it('creates machines from defaults, keeps and lists them by name', async () => {
    const { store, databaseName } = freshStore();
    const b = await store.create({ name: ' Beta ', memoryMb: 64, drives: [DISK], networkCards: [CARD] });
    const a = await store.create({ name: 'Alpha' });
    expect(b).toMatchObject({ version: 1, name: 'Beta', memoryMb: 64, cpus: 1, createdMs: b.modifiedMs });
    const { machines, damaged } = await new SettingsStore({ databaseName }).list();
    expect(machines).toEqual([a, b]);
    expect(damaged).toEqual([]);
    expect(await store.get(b.id)).toEqual(b);
  });

  it('gives machines the interrupt controllers that VirtualBox gives them', async () => {
    const { store } = freshStore();
    const made = await store.create({ name: 'A' });
    const usual = { apic: true, x2apic: true, ioApic: true, hpet: false, acpi: true };
    expect(made.platform).toEqual(usual);
    const { platform: _, ...older } = made;
    expect(parseMachineSettings(older).platform).toEqual(usual);
    expect(() => parseMachineSettings({ ...made, platform: { ...usual, apic: false } })).toThrow(/needs a local APIC/);
  });

  it('gives machines a standard VGA, and VBoxVGA alone several monitors', async () => {
    const { store } = freshStore();
    const made = await store.create({ name: 'A' });
    expect(made.graphics).toEqual({ controller: 'stdvga', monitors: 1 });
    const { graphics: _, ...older } = made;
    expect(parseMachineSettings(older).graphics).toEqual(made.graphics);
    const four = { controller: 'vboxvga', monitors: 4 } as const;
    expect((await store.update(made.id, { graphics: four })).graphics).toEqual(four);
    expect(() => parseMachineSettings({ ...made, graphics: { ...four, controller: 'stdvga' } })).toThrow(
      /only VBoxVGA/,
    );
    expect(() => parseMachineSettings({ ...made, graphics: { ...four, monitors: 5 } })).toThrow(/monitors/);
  });

  it('updates some fields and leaves the others', async () => {
    const { store } = freshStore();
    const made = await store.create({ name: 'A', drives: [DISK] });
    const updated = await store.update(made.id, { memoryMb: 32 });
    expect(updated).toEqual({ ...made, memoryMb: 32, modifiedMs: updated.modifiedMs });
    expect(updated.modifiedMs).toBeGreaterThan(made.modifiedMs);
    expect(await store.get(made.id)).toEqual(updated);
  });

  it('gives machines of before the processor had switches all that there is', async () => {
    const { store, databaseName } = freshStore();
    const { processor, ...old } = await store.create();
    await set('old', { ...old, id: 'old' }, createStore(databaseName, 'machines'));
    expect(await store.get('old')).toEqual({ ...old, id: 'old', processor });
    const cpuidSet = [{ leaf: 7, subleaf: 0, eax: 0, ebx: 0xffff_ffff, ecx: 0, edx: 0 }];
    const narrow = { profile: 'host', longMode: false, pae: true, cpuidSet };
    expect((await store.update('old', { processor: narrow })).processor).toEqual(narrow);
  });

  it('keeps both of two edits made at the same time', async () => {
    const { store } = freshStore();
    const { id } = await store.create();
    await Promise.all([store.update(id, { memoryMb: 32 }), store.update(id, { name: 'B' })]);
    expect(await store.get(id)).toMatchObject({ memoryMb: 32, name: 'B' });
  });

  it.each([
    ['memoryMb', { memoryMb: 0 }],
    ['networkCards.0.mac', { networkCards: [{ ...CARD, mac: '010027000001' }] }],
    ['networkCards', { networkCards: [CARD, CARD] }],
    ['name', { name: '  ' }],
    ['processor.profile', { processor: { profile: '', longMode: true, pae: true, cpuidSet: [] } }],
    ['drives.0.port', { drives: [{ ...DISK, port: -1 }] }],
    ['drives', { drives: [DISK, { ...DISK, diskId: 'disk-2' }] }],
    ['drives', { drives: [DISK, { ...DISK, device: 1 }] }],
  ])('refuses a bad %s and changes nothing', async (field, changes) => {
    const { store } = freshStore();
    const made = await store.create();
    await expect(store.update(made.id, changes)).rejects.toMatchObject({ code: 'bad-settings', details: { field } });
    await expect(store.create(changes)).rejects.toMatchObject({ code: 'bad-settings' });
    expect((await store.list()).machines).toEqual([made]);
  });

  it('removes machines, and does not know them afterwards', async () => {
    const { store } = freshStore();
    const { id } = await store.create();
    await store.remove(id);
    await store.remove(id);
    await expect(store.get(id)).rejects.toMatchObject({ code: 'not-found' });
    await expect(store.update(id, { name: 'x' })).rejects.toMatchObject({ code: 'not-found' });
    expect(await store.list()).toEqual({ machines: [], damaged: [] });
  });

  it('lists records it cannot read apart from the others', async () => {
    const { store, databaseName } = freshStore();
    const good = await store.create();
    const raw = createStore(databaseName, 'machines');
    await set('old', 'nonsense', raw);
    await set('newer', { ...good, version: 99 }, raw);
    const { machines, damaged } = await store.list();
    expect(machines).toEqual([good]);
    expect(damaged.map(({ id, error }) => [id, error.code])).toEqual([
      ['newer', 'newer-version'],
      ['old', 'bad-settings'],
    ]);
  });
});

describe('migration', () => {
  const steps: Migration[] = [
    ({ memory, ...rest }) => ({ ...rest, memoryKb: Number(memory) * 1024 }),
    ({ memoryKb, ...rest }) => ({ ...rest, memoryMb: Number(memoryKb) / 1024, cpus: 1 }),
  ];

  it('runs the steps from the version of the record on', () => {
    expect(migrate({ version: 1, memory: 64, name: 'a' }, steps)).toEqual({
      version: 3,
      memoryMb: 64,
      cpus: 1,
      name: 'a',
    });
    expect(migrate({ version: 2, memoryKb: 2048 }, steps)).toEqual({ version: 3, memoryMb: 2, cpus: 1 });
    expect(migrate({ version: 3, memoryMb: 5 }, steps)).toEqual({ version: 3, memoryMb: 5 });
  });

  it.each([[null], [7], [{}], [{ version: 0 }], [{ version: 1.5 }], [{ version: '1' }]])('refuses %j', (record) => {
    expect(() => migrate(record, steps)).toThrowError(expect.objectContaining({ code: 'bad-settings' }));
  });

  it('refuses the future', () => {
    expect(() => migrate({ version: 4 }, steps)).toThrowError(expect.objectContaining({ code: 'newer-version' }));
    expect(() => parseMachineSettings({ version: 2 })).toThrowError(expect.objectContaining({ code: 'newer-version' }));
  });
});

describe('findEvicted', () => {
  it('names the disks whose changes the browser threw away', async () => {
    const { store } = freshStore();
    const drives: DriveSettings[] = [
      { ...DISK, diskId: 'gone', hasChanges: true },
      { ...DISK, port: 1, diskId: 'there', hasChanges: true },
      { ...DISK, port: 2, diskId: 'never-used' },
      { ...DISK, port: 3, diskId: 'forgetful', hasChanges: true, changes: 'forget' },
    ];
    const machine = await store.create({ name: 'DOS', drives });
    await (await IndexedDbChangedBlocks.open('there', { identity: 'x', sectorCount: 1000 })).close();
    const evicted = await findEvicted(machine, (diskId) => IndexedDbChangedBlocks.exists(diskId));
    expect(evicted.map(({ drive, error }) => [drive.diskId, error.code])).toEqual([['gone', 'evicted']]);
    expect(evicted[0]?.error.message).toMatch(/disk ide 0:0 of DOS are gone.*threw them away/);
    expect(await findEvicted(machine, async () => undefined)).toEqual([]);
  });
});

describe('storageStatus', () => {
  const refuse = () => Promise.reject(new DOMException('no', 'SecurityError'));

  it('passes on what the browser says', async () => {
    const browser = {
      estimate: async () => ({ usage: 10, quota: 100 }),
      persisted: async () => true,
      persist: async () => true,
    };
    expect(await storageStatus(browser)).toEqual({ usedBytes: 10, quotaBytes: 100, persistent: true });
    expect(await askPersistence(browser)).toBe(true);
  });

  it.each([
    ['nothing', {}],
    ['refuses', { estimate: refuse, persisted: refuse, persist: refuse }],
  ])('says nothing when the browser %s', async (_what, browser) => {
    expect(await storageStatus(browser)).toEqual({
      usedBytes: undefined,
      quotaBytes: undefined,
      persistent: undefined,
    });
    expect(await askPersistence(browser)).toBe(false);
  });
});
