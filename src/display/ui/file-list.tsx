/** Files for a new machine: what each is, where it goes, whether it is copied. */
import type { JSX } from 'preact';
import { SLOT_NAMES } from '../session/drives.ts';
import type { PlacedFile } from '../session/image-files.ts';
import type { Keeping } from '../session/machine-library.ts';

export interface FileListProps {
  readonly files: readonly PlacedFile[];
  readonly keeping: ReadonlyMap<File, Keeping>;
  readonly onKeeping: (file: File, keeping: Keeping) => void;
  readonly onRemove: (file: File) => void;
}

function placeName({ role }: PlacedFile): string {
  if (role.kind === 'drive') return SLOT_NAMES[role.slot];
  return { kernel: 'Kernel', initrd: 'RAM disk', refused: 'Not usable' }[role.kind];
}

export function FileList({ files, keeping, onKeeping, onRemove }: FileListProps): JSX.Element {
  return (
    <ul class="files" data-testid="files">
      {files.map((placed) => {
        const { file, role, image } = placed;
        return (
          <li key={file.name + file.size} class={role.kind} data-testid="file" data-role={role.kind}>
            <strong>{placeName(placed)}</strong>
            <span>{file.name}</span>
            {role.kind === 'refused' ? (
              <p role="alert" data-testid="file-refusal">
                {role.why}
              </p>
            ) : (
              <p>
                {role.kind === 'initrd' ? 'Initial RAM disk of the kernel' : image.summary}
                {image.advice.map((advice) => ` – ${advice}`).join('')}
              </p>
            )}
            {role.kind === 'drive' && (
              <label>
                Keep{' '}
                <select
                  value={keeping.get(file) ?? 'copy'}
                  onChange={(event) => onKeeping(file, event.currentTarget.value === 'session' ? 'session' : 'copy')}
                >
                  <option value="copy">a copy in this browser</option>
                  <option value="session">nothing: read the file, forget changes</option>
                </select>
              </label>
            )}
            <button type="button" class="quiet" aria-label={`Remove ${file.name}`} onClick={() => onRemove(file)}>
              Remove
            </button>
          </li>
        );
      })}
    </ul>
  );
}
