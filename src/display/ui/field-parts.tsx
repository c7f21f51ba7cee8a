/** Fields of settings that are options of VBoxManage; their titles and test ids say which. */
import type { JSX } from 'preact';

interface TextFieldProps {
  readonly label: string;
  readonly option: string;
  readonly value: string;
  readonly required?: boolean;
  readonly onChange: (value: string) => void;
}

export function TextField({ label, option, value, required = false, onChange }: TextFieldProps): JSX.Element {
  return (
    <label title={`--${option}`}>
      {label}
      <input
        data-testid={option}
        value={value}
        maxLength={200}
        required={required}
        spellcheck={false}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  );
}

interface SwitchProps {
  readonly label: string;
  readonly option: string;
  readonly on: boolean;
  readonly onChange: (on: boolean) => void;
}

export function Switch({ label, option, on, onChange }: SwitchProps): JSX.Element {
  return (
    <label class="check" title={`--${option}`}>
      <input
        type="checkbox"
        data-testid={option}
        checked={on}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      {label}
    </label>
  );
}

interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly option: string;
  readonly value: T;
  readonly choices: Readonly<Record<T, string>>;
  readonly onChange: (value: T) => void;
}

export function Choice<T extends string>({ label, option, value, choices, onChange }: ChoiceProps<T>): JSX.Element {
  return (
    <label title={`--${option}`}>
      {label}
      <select data-testid={option} value={value} onChange={(event) => onChange(event.currentTarget.value as T)}>
        {Object.entries<string>(choices).map(([key, name]) => (
          <option key={key} value={key}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

interface LinesProps {
  readonly label: string;
  readonly option: string;
  readonly lines: readonly string[];
  readonly onChange: (lines: string[]) => void;
}

/** Lines are read when the field is left, so that a person can have an empty one while typing. */
export function Lines({ label, option, lines, onChange }: LinesProps): JSX.Element {
  return (
    <label title={`--${option}`}>
      {label}
      <textarea
        data-testid={option}
        rows={2}
        spellcheck={false}
        onChange={(event) => {
          const given = event.currentTarget.value.split('\n').map((line) => line.trim());
          onChange(given.filter((line) => line !== ''));
        }}
      >
        {lines.join('\n')}
      </textarea>
    </label>
  );
}

/** `NAME=VALUE`; without `=`, an empty value. */
export function pairOf(line: string): [string, string] {
  const equals = line.indexOf('=');
  return equals < 0 ? [line, ''] : [line.slice(0, equals), line.slice(equals + 1)];
}
