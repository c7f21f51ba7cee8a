/** From an error to what a person needs to know: what happened, why, what still works, and one thing to do. */

/** What the one button of a problem does; the page's shell carries it out. */
export type Remedy =
  | 'reload'
  | 'retry'
  | 'start-fresh'
  | 'choose-file'
  | 'settings'
  | 'home'
  | 'discard-state'
  | 'export';

export interface Problem {
  readonly code: string;
  readonly title: string;
  readonly why: string;
  readonly stillWorks: string;
  readonly action: { readonly label: string; readonly remedy: Remedy };
}

interface Advice {
  readonly title: string;
  readonly stillWorks: string;
  readonly label: string;
  readonly remedy: Remedy;
}

const OTHERS = 'Your other machines and their disks are untouched.';

const ADVICE: Readonly<Record<string, Advice>> = {
  'memory-refused': {
    title: 'The browser refused the memory',
    stillWorks: `A machine with less memory should start. ${OTHERS}`,
    label: 'Change the memory',
    remedy: 'settings',
  },
  'bad-config': {
    title: 'These settings make no machine',
    stillWorks: OTHERS,
    label: 'Open the settings',
    remedy: 'settings',
  },
  'bad-image': {
    title: 'This image cannot be used',
    stillWorks: OTHERS,
    label: 'Change the media',
    remedy: 'settings',
  },
  'bad-kernel': {
    title: 'This kernel cannot be started',
    stillWorks: OTHERS,
    label: 'Change the kernel',
    remedy: 'settings',
  },
  'bad-state': {
    title: 'The saved state cannot be used',
    stillWorks: `The machine can start from its disks. ${OTHERS}`,
    label: 'Discard the state and start',
    remedy: 'discard-state',
  },
  evicted: {
    title: 'The browser threw away what this disk held',
    stillWorks: `The original image is still there. ${OTHERS}`,
    label: 'Start again from the original image',
    remedy: 'start-fresh',
  },
  'evicted-whole': {
    title: 'The browser threw away what this disk held',
    stillWorks: `Nothing of it is left; the machine can start with this disk empty. ${OTHERS}`,
    label: 'Start with an empty disk',
    remedy: 'start-fresh',
  },
  'wrong-base': {
    title: 'The image under this disk has changed',
    stillWorks: `The changes made here are kept, but they fit only the earlier image. ${OTHERS}`,
    label: 'Forget the changes and start',
    remedy: 'start-fresh',
  },
  full: {
    title: 'The browser has no more room for this disk',
    stillWorks: 'Everything written before is kept, and the guest got a write error for the rest.',
    label: 'Try again',
    remedy: 'retry',
  },
  slow: {
    title: 'This machine has become slow',
    stillWorks: 'It goes on, and loses nothing: shut it down or save its state before you reload.',
    label: 'Reload the page',
    remedy: 'reload',
  },
  'file-needed': {
    title: 'Choose the image file again',
    stillWorks: `The machine starts once it has the file. ${OTHERS}`,
    label: 'Choose the file',
    remedy: 'choose-file',
  },
  'in-use': {
    title: 'This disk is in use elsewhere',
    stillWorks: 'The machine in the other tab goes on.',
    label: 'Try again',
    remedy: 'retry',
  },
  'range-unsupported': {
    title: 'The web server cannot send parts of a file',
    stillWorks: OTHERS,
    label: 'Change the media',
    remedy: 'settings',
  },
  cors: {
    title: 'The web server does not let this page read its file',
    stillWorks: OTHERS,
    label: 'Change the media',
    remedy: 'settings',
  },
  'not-found': { title: 'A file is missing', stillWorks: OTHERS, label: 'Try again', remedy: 'retry' },
  'newer-version': {
    title: 'A newer TabBox wrote this',
    stillWorks: OTHERS,
    label: 'Reload the page',
    remedy: 'reload',
  },
  lost: {
    title: 'The browser closed the storage of a disk',
    stillWorks: 'Everything stored before is kept; what the guest writes from now on is not.',
    label: 'Reload the page',
    remedy: 'reload',
  },
  trouble: {
    title: 'The image’s web server does not answer',
    stillWorks: 'The machine goes on with what it has and waits for the rest; it is asked again and again.',
    label: 'Go to the machines',
    remedy: 'home',
  },
  failed: {
    title: 'The machine stopped by itself',
    stillWorks: `What the guest had flushed to its disks is kept. ${OTHERS}`,
    label: 'Start it again',
    remedy: 'retry',
  },
};

const UNKNOWN: Advice = { title: 'That did not work', stillWorks: OTHERS, label: 'Try again', remedy: 'retry' };

/** One sentence of an error's message, as a person reads it. */
function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return 'The browser gave no reason.';
  const ended = /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return ended[0].toUpperCase() + ended.slice(1);
}

/** @param code a `CodedError`'s, a disk event's kind, or one of this file's own */
export function problem(code: string, why: string): Problem {
  const { title, stillWorks, label, remedy } = Object.hasOwn(ADVICE, code) ? ADVICE[code] : UNKNOWN;
  return { code, title, why: sentence(why), stillWorks, action: { label, remedy } };
}

/** @param error whatever was thrown */
export function explain(error: unknown): Problem {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
  return problem(code, error instanceof Error ? error.message : String(error));
}
