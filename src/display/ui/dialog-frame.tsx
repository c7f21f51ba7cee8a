/** A dialog over the page, with its title. */
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

export interface DialogFrameProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

export function DialogFrame({ title, onClose, children }: DialogFrameProps): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (element.current && !element.current.open) element.current.showModal();
  }, []);
  return (
    <dialog ref={element} onClose={onClose} aria-labelledby="dialog-title" data-testid="dialog">
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}
