/** The machines a person has, and the way to the first one. */
import type { JSX } from 'preact';
import { DEFAULT_GUEST, READY_MADE, readyMade } from '../session/ready-made.ts';
import { megabytes } from './format.ts';
import { MachineCard } from './machine-card.tsx';
import type { Shell } from './shell.ts';

export function Home({ shell }: { readonly shell: Shell }): JSX.Element {
  const { library } = shell;
  const machines = library.machines.value;
  const newMachine = (): void => {
    shell.dialog.value = { kind: 'new', files: [] };
  };
  const runReadyMade = (id: string): void => {
    const guest = readyMade(id);
    if (guest) void shell.attempt(async () => shell.run(await library.fromReadyMade(guest)));
  };
  const others = READY_MADE.filter(({ id }) => id !== DEFAULT_GUEST && !machines.some((one) => one.id === id));
  return (
    <div class="home" data-testid="home">
      <header class="masthead">
        <h1 class="wordmark">TabBox</h1>
        <p>A PC in this tab. Drop a disk image, a CD or a kernel anywhere, or start with Debian.</p>
        <div class="row">
          <button
            type="button"
            class="primary big"
            data-testid="run-default"
            onClick={() => runReadyMade(DEFAULT_GUEST)}
          >
            Run Debian
          </button>
          <button type="button" class="big" data-testid="new-machine" onClick={newMachine}>
            New machine
          </button>
        </div>
      </header>
      <main>
        {machines.length > 0 && (
          <section aria-labelledby="machines-heading">
            <h2 id="machines-heading">Your machines</h2>
            <ul class="cards" data-testid="machines">
              {machines.map((machine) => (
                <MachineCard key={machine.id} shell={shell} machine={machine} />
              ))}
            </ul>
          </section>
        )}
        {library.damaged.value.map(({ id, message }) => (
          <p key={id} class="damaged" role="alert">
            A machine cannot be shown: {message}.
          </p>
        ))}
        {others.length > 0 && (
          <section aria-labelledby="ready-heading">
            <h2 id="ready-heading">Ready-made</h2>
            <ul class="cards">
              {others.map(({ id, about, settings }) => (
                <li key={id} class="card ready">
                  <h3>{settings.name}</h3>
                  <p>{about}</p>
                  <button type="button" data-testid={`run-${id}`} onClick={() => runReadyMade(id)}>
                    Run
                  </button>
                </li>
              ))}
            </ul>
          </section>
        )}
      </main>
      <Room shell={shell} />
    </div>
  );
}

function Room({ shell }: { readonly shell: Shell }): JSX.Element {
  const quota = shell.library.quota.value;
  if (!shell.ready.value || quota?.usedBytes === undefined || quota.quotaBytes === undefined) return <footer />;
  const promise = quota.persistent
    ? 'The browser keeps it until you delete it.'
    : 'The browser may clear it when the disk is nearly full.';
  return (
    <footer data-testid="quota">
      {megabytes(quota.usedBytes)} of {megabytes(quota.quotaBytes)} used in this browser. {promise}
    </footer>
  );
}
