/** What went wrong, in four parts: what, why, what still works, and one thing to do. */
import type { JSX } from 'preact';
import type { Problem, Remedy } from '../session/problems.ts';

export interface ProblemPanelProps {
  readonly problem: Problem;
  readonly onRemedy: (remedy: Remedy) => void;
  readonly onDismiss?: () => void;
}

export function ProblemPanel({ problem, onRemedy, onDismiss }: ProblemPanelProps): JSX.Element {
  const { title, why, stillWorks, action, code } = problem;
  return (
    <section class="problem" role="alert" data-testid="problem" data-code={code}>
      <h2>{title}</h2>
      <p>{why}</p>
      <p class="still">{stillWorks}</p>
      <div class="row">
        <button type="button" class="primary" data-testid="problem-action" onClick={() => onRemedy(action.remedy)}>
          {action.label}
        </button>
        {onDismiss && (
          <button type="button" data-testid="problem-dismiss" onClick={onDismiss}>
            Close
          </button>
        )}
      </div>
    </section>
  );
}

/** A problem that leaves nothing else to show. */
export function ProblemPage({ problem, onRemedy }: ProblemPanelProps): JSX.Element {
  return (
    <main class="alone">
      <h1 class="wordmark">TabBox</h1>
      <ProblemPanel problem={problem} onRemedy={onRemedy} />
    </main>
  );
}
