/** The page's beginning: a link to somebody's machine, or one's own machines. Each loads only what it needs. */
import { render } from 'preact';
import { missingFrom, thisEnvironment } from './session/environment.ts';
import { explain } from './session/problems.ts';
import { EarlySocket } from './sharing/early-socket.ts';
import { invitationOf } from './ui/invitation.ts';
import { ProblemPage } from './ui/problem-panel.tsx';
import './ui/style.css';
import './ui/run.css';
import './ui/share.css';

async function start(root: HTMLElement): Promise<void> {
  const invitation = invitationOf(location.hash);
  // Watching needs no machine here, so it works where machines do not.
  if (invitation !== undefined) {
    const base = document.baseURI;
    const early = new EarlySocket(base, invitation);
    const { ViewerPage } = await import('./ui/viewer-page.tsx');
    render(<ViewerPage token={invitation} base={base} newSocket={early.take} />, root);
    return;
  }
  const missing = missingFrom(thisEnvironment());
  if (missing) {
    render(<ProblemPage problem={missing} onRemedy={() => location.reload()} />, root);
    return;
  }
  const { showMachines } = await import('./machines.tsx');
  await showMachines(root);
}

addEventListener('hashchange', () => {
  if (invitationOf(location.hash) !== undefined) location.reload();
});

const root = document.getElementById('app');
if (root) {
  root.textContent = '';
  start(root).catch((error: unknown) => {
    render(<ProblemPage problem={explain(error)} onRemedy={() => location.reload()} />, root);
  });
}
