/** The serial console beside the screen. */
import '@xterm/xterm/css/xterm.css';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Outputs } from '../session/machine-session.ts';

export function ConsolePanel({ outputs }: { readonly outputs: Outputs }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!host.current) return;
    outputs.serial.attach(host.current);
    return () => outputs.serial.detach();
  }, [outputs]);
  return (
    <section class="console" aria-label="Serial console" data-testid="console">
      <h2>Serial console</h2>
      <div class="terminal" ref={host} data-testid="terminal" />
    </section>
  );
}
