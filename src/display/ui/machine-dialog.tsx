/** New machine, and the settings of one: memory, boot order, kernel command line, media. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { DEFAULT_SETTINGS, type EditableSettings, type MachineSettings } from '#storage/settings/machine-settings.ts';
import { bootOrderFor, nameFor, type PickedFile, type PlacedFile, placeFiles } from '../session/image-files.ts';
import { type Keeping, withNetwork } from '../session/machine-library.ts';
import { explain } from '../session/problems.ts';
import { DialogFrame } from './dialog-frame.tsx';
import { FileList } from './file-list.tsx';
import { NetworkFields } from './network-fields.tsx';
import type { Dialog, Shell } from './shell.ts';

interface MachineDialogProps {
  readonly shell: Shell;
  readonly dialog: Exclude<Dialog, { readonly kind: 'share' }>;
}

type BootOrder = EditableSettings['bootOrder'];
const BOOT_NAMES = { floppy: 'Floppy', optical: 'CD', 'hard-disk': 'Hard disk', network: 'Network' } as const;
const BOOT_ORDERS: readonly BootOrder[] = [
  ['hard-disk', 'optical', 'floppy'],
  ['optical', 'hard-disk', 'floppy'],
  ['floppy', 'hard-disk', 'optical'],
  ['floppy', 'optical', 'hard-disk'],
];
const MOST_MEMORY_MB = 3072;
/** Files up to this are copied unless the person says otherwise. */
const COPY_BYTES = 2 ** 30;
const LINUX_CONSOLES = 'console=ttyS0 console=tty0';

export function MachineDialog({ shell, dialog }: MachineDialogProps): JSX.Element | null {
  const machine =
    dialog.kind === 'settings' ? shell.library.machines.value.find(({ id }) => id === dialog.id) : undefined;
  const close = (): void => {
    shell.dialog.value = undefined;
  };
  if (dialog.kind === 'settings') {
    return machine ? <SettingsDialog shell={shell} machine={machine} onClose={close} /> : null;
  }
  return <NewMachineDialog shell={shell} dropped={dialog.files} onClose={close} />;
}

interface FieldsProps {
  readonly value: EditableSettings;
  readonly onChange: (changes: Partial<EditableSettings>) => void;
}

/** What both dialogs set. */
function Fields({ value, onChange }: FieldsProps): JSX.Element {
  const orders = BOOT_ORDERS.some((order) => order.join() === value.bootOrder.join())
    ? BOOT_ORDERS
    : [value.bootOrder, ...BOOT_ORDERS];
  return (
    <>
      <label>
        Name
        <input
          data-testid="name"
          value={value.name}
          maxLength={200}
          required
          onInput={(event) => onChange({ name: event.currentTarget.value })}
        />
      </label>
      <label>
        Memory in MB
        <input
          data-testid="memory"
          type="number"
          min={1}
          max={MOST_MEMORY_MB}
          step={1}
          required
          value={value.memoryMb}
          onInput={(event) => onChange({ memoryMb: event.currentTarget.valueAsNumber })}
        />
      </label>
      {value.directBoot ? (
        <label>
          Kernel command line
          <input
            data-testid="command-line"
            value={value.directBoot.commandLine}
            onInput={(event) => {
              if (value.directBoot)
                onChange({ directBoot: { ...value.directBoot, commandLine: event.currentTarget.value } });
            }}
          />
        </label>
      ) : (
        <>
          <label>
            Firmware
            <select
              data-testid="firmware"
              value={value.firmware}
              onChange={(event) => onChange({ firmware: event.currentTarget.value === 'EFI64' ? 'EFI64' : 'BIOS' })}
            >
              <option value="BIOS">BIOS</option>
              <option value="EFI64">UEFI, for 64-bit systems</option>
            </select>
          </label>
          <label>
            Boot from
            <select
              data-testid="boot-order"
              value={value.bootOrder.join()}
              onChange={(event) =>
                onChange({
                  bootOrder: orders.find((order) => order.join() === event.currentTarget.value) ?? value.bootOrder,
                })
              }
            >
              {orders.map((order) => (
                <option key={order.join()} value={order.join()}>
                  {order.map((device) => BOOT_NAMES[device]).join(', then ')}
                </option>
              ))}
            </select>
          </label>
        </>
      )}
      <label class="check">
        <input
          type="checkbox"
          checked={value.localTimeClock}
          onChange={(event) => onChange({ localTimeClock: event.currentTarget.checked })}
        />
        The clock shows local time, as DOS and Windows expect
      </label>
      <label class="check">
        <input
          type="checkbox"
          data-testid="long-mode"
          checked={value.processor.longMode}
          onChange={(event) => {
            const longMode = event.currentTarget.checked;
            onChange({ processor: { ...value.processor, longMode, pae: value.processor.pae || longMode } });
          }}
        />
        64-bit processor
      </label>
      <label class="check">
        <input
          type="checkbox"
          data-testid="sound-card"
          checked={value.audio === 'ac97'}
          onChange={(event) => onChange({ audio: event.currentTarget.checked ? 'ac97' : 'none' })}
        />
        Sound card (AC’97)
      </label>
      <label>
        Display
        <select
          data-testid="display"
          value={value.graphics.controller === 'stdvga' ? 0 : value.graphics.monitors}
          onChange={(event) => {
            const monitors = Number(event.currentTarget.value);
            onChange({
              graphics: { controller: monitors === 0 ? 'stdvga' : 'vboxvga', monitors: Math.max(1, monitors) },
            });
          }}
        >
          <option value={0}>Standard VGA</option>
          <option value={1}>VBoxVGA</option>
          {[2, 3, 4].map((monitors) => (
            <option key={monitors} value={monitors}>
              VBoxVGA, {monitors} monitors
            </option>
          ))}
        </select>
      </label>
      <NetworkFields
        {...{ cards: value.networkCards, groups: value.bandwidthGroups }}
        onChange={(cards) => onChange({ networkCards: [...cards] })}
        onGroups={(groups) => onChange({ bandwidthGroups: [...groups] })}
      />
    </>
  );
}

function SettingsDialog({
  shell,
  machine,
  onClose,
}: {
  readonly shell: Shell;
  readonly machine: MachineSettings;
  readonly onClose: () => void;
}): JSX.Element {
  const [value, setValue] = useState<EditableSettings>(machine);
  const [error, setError] = useState('');
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    const { name, memoryMb, processor, firmware, bootOrder, directBoot, localTimeClock, audio } = value;
    const { graphics, networkCards, bandwidthGroups } = value;
    const boot = { firmware, bootOrder, directBoot };
    const networks = { networkCards, bandwidthGroups };
    const changes = { name, memoryMb, processor, ...boot, localTimeClock, audio, graphics, ...networks };
    try {
      await shell.library.update(machine.id, changes);
      onClose();
    } catch (cause) {
      setError(explain(cause).why);
    }
  };
  return (
    <DialogFrame title={`Settings of ${machine.name}`} onClose={onClose}>
      <form onSubmit={(event) => void save(event)}>
        <Fields value={value} onChange={(changes) => setValue({ ...value, ...changes })} />
        <Errors text={error} />
        <Buttons label="Save" busy="" onClose={onClose} />
      </form>
    </DialogFrame>
  );
}

function NewMachineDialog({
  shell,
  dropped,
  onClose,
}: {
  readonly shell: Shell;
  readonly dropped: readonly File[];
  readonly onClose: () => void;
}): JSX.Element {
  const [value, setValue] = useState<EditableSettings>(() => withNetwork(DEFAULT_SETTINGS));
  const [named, setNamed] = useState(false);
  const [picked, setPicked] = useState<readonly PickedFile[]>([]);
  const [keeping, setKeeping] = useState<ReadonlyMap<File, Keeping>>(new Map());
  const [emptyDiskMb, setEmptyDiskMb] = useState(0);
  const [url, setUrl] = useState('');
  const [error, setError] = useState('');
  const [busy, setBusy] = useState('');
  const placed = placeFiles(picked);

  const adopt = (files: readonly PickedFile[]): void => {
    setPicked(files);
    const now = placeFiles(files);
    setValue((before) => ({
      ...before,
      ...(named ? {} : { name: nameFor(now) }),
      bootOrder: bootOrderFor(now),
      directBoot: kernelSettings(now, before),
    }));
  };
  const add = async (files: readonly File[]): Promise<void> => {
    setError('');
    try {
      const more: PickedFile[] = [];
      for (const file of files) more.push({ file, image: await describe(shell, file) });
      setKeeping(
        (before) =>
          new Map([...before, ...files.map((file) => [file, file.size > COPY_BYTES ? 'session' : 'copy'] as const)]),
      );
      adopt([...picked, ...more]);
    } catch (cause) {
      setError(explain(cause).why);
    }
  };
  useEffect(() => {
    if (dropped.length > 0) void add(dropped);
  }, [dropped]);

  const create = async (event: Event): Promise<void> => {
    event.preventDefault();
    setError('');
    setBusy('Making the machine');
    try {
      const files = placed
        .filter(({ role }) => role.kind !== 'refused')
        .map((one) => ({ ...one, keeping: keeping.get(one.file) ?? 'copy' }));
      const machine = await shell.library.create({ settings: value, files, emptyDiskMb, url: url.trim() }, setBusy);
      onClose();
      await shell.run(machine);
    } catch (cause) {
      setError(explain(cause).why);
      setBusy('');
    }
  };
  const usable =
    placed.some(({ role }) => role.kind === 'drive' || role.kind === 'kernel') || url.trim() !== '' || emptyDiskMb > 0;
  return (
    <DialogFrame title="New machine" onClose={onClose}>
      <form onSubmit={(event) => void create(event)}>
        <label class="chooser">
          Disk images, CDs, floppies, or a kernel with its RAM disk
          <input
            type="file"
            multiple
            data-testid="choose-files"
            onChange={(event) => void add([...(event.currentTarget.files ?? [])])}
          />
        </label>
        <FileList
          files={placed}
          keeping={keeping}
          onKeeping={(file, how) => setKeeping(new Map(keeping).set(file, how))}
          onRemove={(file) => adopt(picked.filter((one) => one.file !== file))}
        />
        <label>
          Image on a web server
          <input
            type="url"
            data-testid="url"
            placeholder="https://"
            value={url}
            onInput={(event) => setUrl(event.currentTarget.value)}
          />
        </label>
        <label>
          New empty disk in MB
          <input
            type="number"
            data-testid="empty-disk"
            min={0}
            max={131072}
            value={emptyDiskMb}
            onInput={(event) => setEmptyDiskMb(event.currentTarget.valueAsNumber || 0)}
          />
        </label>
        <Fields
          value={value}
          onChange={(changes) => {
            if (changes.name !== undefined) setNamed(true);
            setValue({ ...value, ...changes });
          }}
        />
        {!usable && <p class="hint">A machine needs something to start from: choose or drop a file above.</p>}
        <Errors text={error} />
        <Buttons label="Make and run" busy={busy} onClose={onClose} disabled={!usable} />
      </form>
    </DialogFrame>
  );
}

async function describe(shell: Shell, file: File): Promise<PickedFile['image']> {
  if (file.size === 0)
    return (await import('#storage/formats/describe-image.ts')).describeImage(new Uint8Array(0), 0, file.name);
  const image = await shell.library.storage.describe({ kind: 'file', file });
  if (!image) throw new Error(`${file.name} cannot be read`);
  return image;
}

/** The library puts the kept files' keys in; here only what the person can change. */
function kernelSettings(files: readonly PlacedFile[], before: EditableSettings): EditableSettings['directBoot'] {
  const kernel = files.find(({ role }) => role.kind === 'kernel');
  if (!kernel) return null;
  const { name, size } = kernel.file;
  const commandLine = before.directBoot?.commandLine ?? LINUX_CONSOLES;
  return { kernel: { kind: 'kept', key: 'kernel', name, sizeBytes: size }, initrd: null, commandLine };
}

function Errors({ text }: { readonly text: string }): JSX.Element {
  return (
    <p class="error" role="alert" data-testid="dialog-error">
      {text}
    </p>
  );
}

interface ButtonsProps {
  readonly label: string;
  readonly busy: string;
  readonly onClose: () => void;
  readonly disabled?: boolean;
}

function Buttons({ label, busy, onClose, disabled }: ButtonsProps): JSX.Element {
  return (
    <div class="row end">
      <span role="status">{busy}</span>
      <button type="button" onClick={onClose}>
        Cancel
      </button>
      <button type="submit" class="primary" data-testid="dialog-ok" disabled={busy !== '' || (disabled ?? false)}>
        {label}
      </button>
    </div>
  );
}
