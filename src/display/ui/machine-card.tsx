/** One machine on the home view: its screen, its state, where its disks are kept. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { MachineSettings } from '#storage/settings/machine-settings.ts';
import { Rasteriser } from '../raster/rasteriser.ts';
import { scaleDown, thumbnailSize } from '../raster/thumbnail.ts';
import { keptWhere, SLOT_NAMES, slotOf } from '../session/drives.ts';
import type { MachineSession, Outputs } from '../session/machine-session.ts';
import type { Shell } from './shell.ts';

export interface MachineCardProps {
  readonly shell: Shell;
  readonly machine: MachineSettings;
}

const THUMBNAIL_WIDTH = 320;
const THUMBNAIL_INTERVAL_MS = 500;

export function stateText(session: MachineSession | undefined, saved: boolean): string {
  const state = session?.state.value ?? 'off';
  if (state === 'off') return saved ? 'saved' : 'off';
  return {
    starting: 'starting',
    running: 'running',
    paused: 'paused',
    saving: 'saving',
    stopping: 'stopping',
    failed: 'failed',
  }[state];
}

export function MachineCard({ shell, machine }: MachineCardProps): JSX.Element {
  const { library } = shell;
  const session = library.sessions.value.get(machine.id);
  const saved = library.saved.value.has(machine.id);
  const state = stateText(session, saved);
  const isOff = ['off', 'saved', 'failed'].includes(state);
  const outputs = session?.outputs.value;
  const remove = (): void => {
    // The one step that cannot be undone.
    if (confirm(`Delete “${machine.name}” and everything it keeps in this browser?`)) {
      void shell.attempt(() => library.remove(machine.id));
    }
  };
  return (
    <li class="card" data-testid="machine-card" data-machine={machine.id} data-state={state}>
      <button
        type="button"
        class="thumbnail"
        onClick={() => void shell.run(machine)}
        aria-label={`Open ${machine.name}`}
      >
        {outputs ? <LiveThumbnail outputs={outputs} /> : <span class="dark-screen">{saved ? 'saved' : ''}</span>}
      </button>
      <h3>{machine.name}</h3>
      <p class="state">
        <span class={`lamp ${state}`} aria-hidden="true" /> {state}, {machine.memoryMb} MB
      </p>
      <ul class="where">
        {machine.directBoot && <li>Kernel started directly</li>}
        {machine.drives.map((drive) => (
          <li key={drive.diskId}>
            {SLOT_NAMES[slotOf(drive)]}: {keptWhere(drive)}
          </li>
        ))}
        {!machine.directBoot && machine.drives.length === 0 && <li>No disk</li>}
      </ul>
      <div class="row">
        <button type="button" class="primary" data-testid="card-run" onClick={() => void shell.run(machine)}>
          {isOff ? (saved ? 'Resume' : 'Run') : 'Show'}
        </button>
        <button
          type="button"
          data-testid="card-settings"
          disabled={!isOff || saved}
          title={saved ? 'A machine with a saved state cannot change' : ''}
          onClick={() => {
            shell.dialog.value = { kind: 'settings', id: machine.id };
          }}
        >
          Settings
        </button>
        <button type="button" class="quiet" data-testid="card-delete" disabled={!isOff} onClick={remove}>
          Delete
        </button>
      </div>
    </li>
  );
}

function LiveThumbnail({ outputs }: { readonly outputs: Outputs }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const rasteriser = new Rasteriser(outputs.vram, outputs.frame);
    const draw = (): void => {
      if (!canvas.current || rasteriser.render().length === 0) return;
      const { width, height } = thumbnailSize(rasteriser, THUMBNAIL_WIDTH);
      const { pixels } = scaleDown(rasteriser, width, height);
      canvas.current.width = width;
      canvas.current.height = height;
      const bytes = new Uint8ClampedArray(pixels.length * 4);
      bytes.set(new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.byteLength));
      canvas.current.getContext('2d')?.putImageData(new ImageData(bytes, width, height), 0, 0);
    };
    draw();
    const timer = setInterval(draw, THUMBNAIL_INTERVAL_MS);
    return () => clearInterval(timer);
  }, [outputs]);
  return <canvas ref={canvas} data-testid="thumbnail" />;
}
