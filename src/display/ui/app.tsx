/** The whole page: home or a machine, dialogs over it, files dropped anywhere. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Home } from './home.tsx';
import { MachineDialog } from './machine-dialog.tsx';
import { ProblemPanel } from './problem-panel.tsx';
import { RunView } from './run-view.tsx';
import { ShareDialog } from './share-dialog.tsx';
import type { Shell } from './shell.ts';

export function App({ shell }: { readonly shell: Shell }): JSX.Element {
  const settings = shell.settings.value;
  const dialog = shell.dialog.value;
  const session = shell.session.value;
  const problem = shell.problem.value ?? shell.library.problem.value;
  const dropping = useDrop((files) => {
    shell.dialog.value = { kind: 'new', files };
  });
  return (
    <>
      {problem && (
        <div class="page-problem">
          <ProblemPanel
            problem={problem}
            onRemedy={(remedy) => void shell.remedy(remedy, settings?.id)}
            onDismiss={() => {
              shell.problem.value = undefined;
              shell.library.problem.value = undefined;
            }}
          />
        </div>
      )}
      {settings ? <RunView key={settings.id} shell={shell} settings={settings} /> : <Home shell={shell} />}
      {dialog?.kind === 'share' && session && <ShareDialog shell={shell} session={session} />}
      {dialog && dialog.kind !== 'share' && <MachineDialog key={dialog.kind} shell={shell} dialog={dialog} />}
      {dropping && (
        <div class="drop-hint" aria-hidden="true">
          Drop disk images, CDs, floppies or a kernel to make a machine
        </div>
      )}
    </>
  );
}

/** @returns true while files are held over the page */
function useDrop(onFiles: (files: File[]) => void): boolean {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;
    const onOver = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const onLeave = (event: DragEvent): void => {
      if (event.relatedTarget === null) setOver(false);
    };
    const onDrop = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(false);
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length > 0) onFiles(files);
    };
    addEventListener('dragover', onOver);
    addEventListener('dragleave', onLeave);
    addEventListener('drop', onDrop);
    return () => {
      removeEventListener('dragover', onOver);
      removeEventListener('dragleave', onLeave);
      removeEventListener('drop', onDrop);
    };
  }, [onFiles]);
  return over;
}
