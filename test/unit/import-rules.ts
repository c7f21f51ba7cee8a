// Who may import what: the folder rules of CONTRIBUTING.md as data, and the functions that check sources against them.

import { posix } from 'node:path';

/** One source file: path from the repository's root with `/`, and its text. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

export interface Import {
  /** As written. */
  readonly specifier: string;
  /** Path from the root when the import stays in the tree. */
  readonly target: string | undefined;
  /** Erased by the compiler. */
  readonly typeOnly: boolean;
}

const ANY = '*';

/** The first folder that is a prefix of a file's path names its rule. Own folder and `src/emu/base` go without saying. */
const MAY_IMPORT: readonly (readonly [folder: string, allowed: readonly string[]])[] = [
  ['src/emu/base', []],
  ['src/emu/memory', ['src/emu/bus']],
  ['src/emu/bus', []],
  ['src/emu/host', []],
  ['src/emu/cpu', ['src/emu/memory', 'src/emu/bus', 'src/emu/host']],
  // Checksums and segmentation are every network device's.
  [
    'src/emu/devices/virtio',
    ['src/emu/memory', 'src/emu/bus', 'src/emu/host', 'src/emu/devices/pci', 'src/emu/devices/net/offload'],
  ],
  [
    'src/emu/devices/*',
    ['src/emu/memory', 'src/emu/bus', 'src/emu/host', 'src/emu/devices/pci', 'src/emu/devices/scsi'],
  ],
  // Firmware hands over tables that describe the devices, and sets up the chipset as a BIOS would.
  [
    'src/emu/firmware',
    [
      ...['src/emu/memory', 'src/emu/bus', 'src/emu/host'],
      ...['src/emu/devices/acpi', 'src/emu/devices/chipset', 'src/emu/devices/pci'],
    ],
  ],
  ['src/emu', ['src/emu']],
  ['src/storage/worker', ['src/storage', 'src/emu/host', 'src/emu/workers']],
  ['src/storage', ['src/emu/host']],
  // Networks: codecs below, engines above them, then what carries frames.
  ['src/net-relay/wire', []],
  ['src/net-relay/nat', ['src/net-relay/wire']],
  ['src/net-relay/switch', ['src/net-relay/wire', 'src/emu/host']],
  ['src/net-relay/transports', ['src/net-relay/wire', 'src/net-relay/switch', 'src/emu/host']],
  ['src/net-relay/worker', ['src/net-relay', 'src/emu/host', 'src/emu/workers']],
  // The page's composition root, where the sides meet.
  ['src/display/main.ts', ['src']],
  ['src/display/main.tsx', ['src']],
  ['src/display/machines.tsx', ['src']],
  // The shell of the page: machines as a person sees them, from settings and disks to screen and console.
  [
    'src/display/session',
    [
      ...['src/display', 'src/storage', 'src/emu/host', 'src/emu/machine', 'src/emu/workers', 'src/emu/devices/input'],
      ...['src/net-relay/worker', 'src/net-relay/transports'],
    ],
  ],
  [
    'src/display/ui',
    [
      ...['src/display', 'src/storage', 'src/emu/host', 'src/emu/workers', 'src/emu/devices/input'],
      'src/net-relay/transports',
    ],
  ],
  // What travels: pure, so that the relay runs it too.
  ['src/display/stream', ['src/emu/host', 'src/display/raster']],
  // The tables of keys, which touch no device.
  ['src/display/input', ['src/emu/host', 'src/emu/devices/input']],
  ['src/display', ['src/emu/host', 'src/emu/machine', 'src/emu/workers']],
  ['src/app', ['src']],
  ['server', ['src']],
  ['test', [ANY]],
];

/** Packages, by the folders that may use them; `server` and `test` use what they like. */
const PACKAGES: readonly (readonly [folder: string, allowed: readonly string[]])[] = [
  ['src/emu/workers', ['comlink']],
  ['src/emu', []],
  ['src/storage', ['comlink', 'idb', 'idb-keyval', 'valibot']],
  ['src/net-relay/worker', ['comlink']],
  ['src/net-relay', []],
  [
    'src/display',
    [
      ...['comlink', 'fast-png', 'fflate', 'idb', 'idb-keyval', 'preact', '@preact', '@xterm'],
      ...['simple-peer', 'uqr', 'valibot'],
    ],
  ],
  ['src/app', [ANY]],
  ['server', [ANY]],
  ['test', [ANY]],
];

const ALIASES = {
  '#base/': 'src/emu/base/',
  '#emu/': 'src/emu/',
  '#storage/': 'src/storage/',
  '#display/': 'src/display/',
};

/** Tests and suites may reach further, because nothing runs on top of them. */
export const isTest = (path: string): boolean => /\.(test|suite)\.tsx?$/.test(path);
const mayUseNode = (path: string): boolean =>
  /^(server|test)\//.test(path) || /^src\/storage\/backends\/node-[^/]*\.ts$/.test(path);
const inside = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

function ruleOf<T>(rules: readonly (readonly [string, T])[], path: string): { folder: string; allowed: T } | undefined {
  for (const [pattern, allowed] of rules) {
    if (!pattern.endsWith('/*')) {
      if (inside(path, pattern)) return { folder: pattern, allowed };
      continue;
    }
    const parent = pattern.slice(0, -1);
    const child = path.startsWith(parent) ? path.slice(parent.length).split('/')[0] : undefined;
    if (child) return { folder: parent + child, allowed };
  }
  return undefined;
}

function resolveImport(from: string, specifier: string): string | undefined {
  const bare = specifier.split('?')[0] ?? specifier;
  if (bare.startsWith('.')) return posix.join(posix.dirname(from), bare);
  for (const [alias, folder] of Object.entries(ALIASES)) {
    if (bare.startsWith(alias)) return folder + bare.slice(alias.length);
  }
  return undefined;
}

const FORMS: readonly RegExp[] = [
  /^[ \t]*(?:import|export)\b(?<clause>[^'";]*?)\bfrom\s+['"](?<specifier>[^'"]+)['"]/gm,
  /^[ \t]*import\s+['"](?<specifier>[^'"]+)['"]/gm,
  /(?<![.\w])import\(\s*['"](?<specifier>[^'"]+)['"]/g,
  /\bnew URL\(\s*['"](?<specifier>\.[^'"]+\.\w+)['"]\s*,\s*import\.meta\.url/g,
];

/** Whether `import ... from` brings types only, so that nothing is left of it at run time. */
function isTypeClause(clause: string): boolean {
  const text = clause.trim();
  if (text.startsWith('type ') && !text.startsWith('type ,')) return true;
  const names = /^\{([^}]*)\}$/.exec(text)?.[1];
  const list = names?.split(',').filter((name) => name.trim() !== '') ?? [];
  return list.length > 0 && list.every((name) => name.trim().startsWith('type '));
}

export function importsOf({ path, text }: Source): Import[] {
  const found: Import[] = [];
  for (const form of FORMS) {
    for (const { groups } of text.matchAll(form)) {
      const specifier = groups?.['specifier'] ?? '';
      found.push({
        specifier,
        target: resolveImport(path, specifier),
        typeOnly: isTypeClause(groups?.['clause'] ?? ''),
      });
    }
  }
  return found;
}

function importProblem(path: string, { specifier, target }: Import): string | undefined {
  if (specifier.startsWith('node:'))
    return mayUseNode(path) ? undefined : 'Node is for server, test and storage/backends/node-*';
  if (target === undefined) {
    if (specifier.startsWith('#')) return 'an alias that package.json does not have';
    const rule = ruleOf(PACKAGES, path);
    const name = specifier.split('/')[0] ?? specifier;
    return rule?.allowed.some((allowed) => allowed === ANY || allowed === name)
      ? undefined
      : 'a package not meant for this folder';
  }
  if (target.startsWith('..')) return 'outside the repository';
  if (inside(target, 'server') && !/^(server|test)\//.test(path)) return 'nothing but server imports server';
  if (inside(target, 'test') && !inside(path, 'test')) return 'nothing but test imports test';
  const rule = ruleOf(MAY_IMPORT, path);
  if (!rule) return `${path} is in no folder the rules know`;
  const allowed = [rule.folder, 'src/emu/base', ...rule.allowed].some(
    (folder) => folder === ANY || inside(target, folder),
  );
  return allowed ? undefined : `${rule.folder} may not import ${posix.dirname(target)}`;
}

/** Imports that break a rule, as `file imports what: why`. */
export function importViolations(sources: readonly Source[]): string[] {
  const problems: string[] = [];
  for (const source of sources) {
    if (isTest(source.path)) continue;
    for (const one of importsOf(source)) {
      const why = importProblem(source.path, one);
      if (why) problems.push(`${source.path} imports ${one.specifier}: ${why}`);
      if (one.target !== undefined && !/\.[a-z]+$/.test(one.target)) {
        problems.push(`${source.path} imports ${one.specifier}: the file's ending is missing`);
      }
    }
  }
  return problems;
}

/** What ties the core to one host, beyond what its tsconfig.json already hides. */
const HOST_CODE: Readonly<Record<string, RegExp>> = {
  'the wall clock': /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.now\b/,
  chance: /\bMath\.random\b|\bcrypto\.(?:getRandomValues|randomUUID)\b/,
  'host timers': /(?<![.\w#])(?:setTimeout|setInterval|requestAnimationFrame)\s*\(/,
  'the page': /(?<![.\w#])(?:globalThis|self|document|navigator|localStorage)\s*[.[]/,
  Node: /(?<![.\w#])(?:process|Buffer|require)\s*[.([]/,
  WebAssembly: /(?<![.\w#])WebAssembly\s*\./,
};

/** Folders whose code runs on any host: time, chance and sockets are handed in. */
const CORE = ['src/emu', 'src/display/stream', 'src/net-relay/wire', 'src/net-relay/nat', 'src/net-relay/switch'];

/** Places in the core that use a host's globals; workers may, because they are where core and host meet. */
export function hostGlobals({ path, text }: Source): string[] {
  const core = CORE.some((folder) => inside(path, folder)) && !inside(path, 'src/emu/workers');
  if (!core || isTest(path) || path.endsWith('.d.ts') || path === 'src/emu/cpu/wasm/host.ts') return [];
  const code = text.replace(/\/\*[\s\S]*?\*\/|(?<![:'"`\\])\/\/.*$/gm, '').replace(/'(?:[^'\\\n]|\\.)*'/g, "''");
  return Object.entries(HOST_CODE).flatMap(([what, pattern]) => (pattern.test(code) ? [`${path} uses ${what}`] : []));
}

/** Groups of files that import each other in a circle at run time, each as `a -> b -> a`. */
export function importCycles(sources: readonly Source[]): string[] {
  const edges = new Map(
    sources.map((source) => [
      source.path,
      importsOf(source).flatMap((i) => (i.target && !i.typeOnly ? [i.target] : [])),
    ]),
  );
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) cycles.push([...trail.slice(at), path].join(' -> '));
    if (at >= 0 || done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return cycles;
}
