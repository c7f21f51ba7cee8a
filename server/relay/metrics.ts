// The page of figures. Source: OpenMetrics 1.0, text format (sections "Text Format" and "Metric Types").

export interface MetricSample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricFamily {
  /** Without `_total`, with the unit as its last word, as `tabbox_relay_received_bytes`. */
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly MetricSample[];
}

export const METRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');

function line(name: string, { labels = {}, value }: MetricSample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}`;
}

/** A family of one figure. */
export const metric = (type: MetricFamily['type'], name: string, help: string, value: number): MetricFamily => ({
  ...{ type, name, help },
  samples: [{ value }],
});

export function formatMetrics(families: readonly MetricFamily[]): string {
  const lines = families.flatMap(({ name, type, help, samples }) => [
    `# TYPE ${name} ${type}`,
    `# HELP ${name} ${escaped(help)}`,
    ...samples.map((sample) => line(type === 'counter' ? `${name}_total` : name, sample)),
  ]);
  return `${[...lines, '# EOF'].join('\n')}\n`;
}
