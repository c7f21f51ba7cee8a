/** A button that opens a menu. Source: WAI-ARIA Authoring Practices, "Menu Button". */
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

export interface MenuItem {
  readonly label: string;
  readonly onChoose: () => void;
  readonly testId?: string;
  readonly disabled?: boolean;
}

export interface MenuProps {
  readonly label: ComponentChildren;
  readonly items: readonly MenuItem[];
  readonly testId?: string;
  readonly disabled?: boolean;
}

export function Menu({ label, items, testId, disabled }: MenuProps): JSX.Element {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const close = (): void => {
    setOpen(false);
    box.current?.querySelector('button')?.focus();
  };
  useEffect(() => {
    if (!open) return;
    box.current?.querySelector<HTMLElement>('[role=menuitem]:not([disabled])')?.focus();
    const outside = (event: Event): void => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [open]);
  return (
    // Arrow keys move within the menu; its buttons do the rest.
    // biome-ignore lint/a11y/noStaticElementInteractions: the focus is always on a button inside
    <div class="menu" ref={box} onKeyDown={(event) => open && onKey(event, box.current, close)}>
      <button
        type="button"
        aria-haspopup="menu"
        aria-expanded={open}
        disabled={disabled ?? false}
        data-testid={testId}
        onClick={() => setOpen(!open)}
      >
        {label} <span aria-hidden="true">▾</span>
      </button>
      {open && (
        <div role="menu" class="menu-list">
          {items.map((item) => (
            <button
              type="button"
              role="menuitem"
              tabIndex={-1}
              key={item.label}
              disabled={item.disabled ?? false}
              data-testid={item.testId}
              onClick={() => {
                close();
                item.onChoose();
              }}
            >
              {item.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

const STEPS: Readonly<Record<string, (at: number, count: number) => number>> = {
  ArrowDown: (at, count) => (at + 1) % count,
  ArrowUp: (at, count) => (at + count - 1) % count,
  Home: () => 0,
  End: (_, count) => count - 1,
};

function onKey(event: KeyboardEvent, box: HTMLElement | null, close: () => void): void {
  if (event.key === 'Escape') {
    event.preventDefault();
    close();
    return;
  }
  const step = Object.hasOwn(STEPS, event.key) ? STEPS[event.key] : undefined;
  const items = [...(box?.querySelectorAll<HTMLElement>('[role=menuitem]:not([disabled])') ?? [])];
  if (!step || items.length === 0) return;
  event.preventDefault();
  items[step(items.indexOf(document.activeElement as HTMLElement), items.length)]?.focus();
}
