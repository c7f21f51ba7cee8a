import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { hostGlobals, importCycles, importsOf, importViolations, type Source } from './import-rules.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAX_LINES = 600;
const MAX_README_LINES = 40;

function filesBelow(folder: string): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const lineCount = (text: string): number => text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
const paths = ['src', 'server', 'test'].flatMap(filesBelow);
const sources: Source[] = paths.filter((path) => /\.tsx?$/.test(path)).map((path) => ({ path, text: read(path) }));

describe('the tree', () => {
  it('has sources to check', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(sources.flatMap(importsOf).length).toBeGreaterThan(50);
  });

  it('imports only what the rules allow', () => {
    expect(importViolations(sources)).toEqual([]);
  });

  it('imports files that exist', () => {
    const missing = sources.flatMap((source) =>
      importsOf(source)
        .filter(({ target }) => target !== undefined && !existsSync(join(ROOT, target)))
        // Built beside the importing file, so it exists only in dist.
        .filter(({ specifier }) => !/^\.\/[\w-]+\.js$/.test(specifier))
        .map(({ specifier }) => `${source.path} imports ${specifier}`),
    );
    expect(missing.filter((line) => !line.startsWith('test/unit/architecture.test.ts'))).toEqual([]);
  });

  it('has no import cycles', () => {
    expect(importCycles(sources)).toEqual([]);
  });

  it('keeps the core free of its hosts', () => {
    expect(sources.flatMap(hostGlobals)).toEqual([]);
  });

  it('has no default exports outside configurations', () => {
    const found = sources
      .filter(({ path }) => !path.endsWith('.config.ts') && !path.startsWith('test/unit/'))
      .filter(({ text }) => /^\s*export\s+default\b|^export\s*\{[^}]*\bas default\b/m.test(text))
      .map(({ path }) => path);
    expect(found).toEqual([]);
  });

  it(`keeps files within ${MAX_LINES} lines`, () => {
    const long = paths
      .filter((path) => /\.(tsx?|mjs|sh|css|c|h)$/.test(path) && !path.includes('/vectors/'))
      .map((path) => [path, lineCount(read(path))] as const)
      .filter(([, lines]) => lines > MAX_LINES)
      .map(([path, lines]) => `${path} has ${lines} lines`);
    expect(long).toEqual([]);
  });

  it(`explains every folder in a README of at most ${MAX_README_LINES} lines`, () => {
    const code = paths.filter((path) => /\.(tsx?|mjs)$/.test(path) && !path.startsWith('test/'));
    const problems = [...new Set(code.map((path) => posix.dirname(path)))].flatMap((folder) => {
      const readme = posix.join(folder, 'README.md');
      if (!existsSync(join(ROOT, readme))) return [`${folder} has no README.md`];
      const lines = lineCount(read(readme));
      return lines > MAX_README_LINES ? [`${readme} has ${lines} lines`] : [];
    });
    expect(problems).toEqual([]);
  });
});

describe('the rules', () => {
  const violations = (path: string, specifier: string): string[] =>
    importViolations([{ path, text: `import { x } from '${specifier}';` }]);

  it.each([
    ['src/emu/base/units.ts', '#emu/bus/io-bus.ts'],
    ['src/emu/devices/video/vga.ts', '#emu/cpu/state/layout.ts'],
    ['src/emu/devices/video/vga.ts', '../isa/pic8259.ts'],
    ['src/emu/cpu/interp/run.ts', '#emu/devices/isa/pic8259.ts'],
    ['src/emu/machine/pc.ts', '#storage/block/block-store.ts'],
    ['src/emu/machine/pc.ts', '#display/canvas/canvas.ts'],
    ['src/emu/machine/pc.ts', 'node:fs'],
    ['src/emu/machine/pc.ts', 'comlink'],
    ['src/net-relay/wire/ip.ts', '../nat/nat-engine.ts'],
    ['src/net-relay/nat/nat-engine.ts', '../switch/link.ts'],
    ['src/net-relay/nat/nat-engine.ts', 'node:net'],
    ['src/net-relay/nat/nat-engine.ts', '#emu/devices/net/card.ts'],
    ['src/storage/block/cache.ts', '#emu/memory/physical-memory.ts'],
    ['src/storage/block/cache.ts', 'node:fs'],
    ['src/display/canvas/canvas.ts', '#storage/block/block-store.ts'],
    ['src/display/main.ts', '../../server/http/serve.ts'],
    ['src/emu/machine/pc.ts', '../../../test/unit/import-rules.ts'],
    ['src/emu/machine/pc.ts', '#base/units'],
    ['src/emu/machine/pc.ts', '#nowhere/units.ts'],
    ['src/elsewhere/x.ts', '#base/units.ts'],
  ])('%s may not import %s', (path, specifier) => {
    expect(violations(path, specifier)).toHaveLength(1);
  });

  it.each([
    ['src/emu/devices/storage/ide/ata-drive.ts', '#emu/host/block.ts'],
    ['src/emu/devices/storage/ide/piix-ide.ts', '../../pci/pci-function.ts'],
    ['src/emu/machine/pc.ts', '#emu/cpu/interp/run.ts'],
    ['src/storage/backends/node-file.ts', 'node:fs/promises'],
    ['src/display/main.ts', '#storage/worker/worker.ts'],
    ['src/net-relay/nat/nat-engine.ts', '../wire/ip.ts'],
    ['src/net-relay/worker/worker.ts', '#emu/host/packet-port.ts'],
    ['server/cli/main.ts', '../http/serve.ts'],
  ])('%s may import %s', (path, specifier) => {
    expect(violations(path, specifier)).toEqual([]);
  });

  it('see every form of import', () => {
    const text = [
      "import type { A } from './a.ts';",
      'import {',
      '  type B,',
      '  type C,',
      "} from './b.ts';",
      "export { d } from './d.ts';",
      "import './e.css';",
      "const f = import('./f.ts');",
      "new Worker(new URL('./g.ts', import.meta.url));",
    ].join('\n');
    const found = importsOf({ path: 'src/emu/base/x.ts', text });
    expect(found.map(({ target, typeOnly }) => `${target} ${typeOnly}`).sort()).toEqual([
      'src/emu/base/a.ts true',
      'src/emu/base/b.ts true',
      'src/emu/base/d.ts false',
      'src/emu/base/e.css false',
      'src/emu/base/f.ts false',
      'src/emu/base/g.ts false',
    ]);
  });

  it('find cycles at run time and forgive those of types', () => {
    const file = (name: string, text: string): Source => ({ path: `src/emu/base/${name}.ts`, text });
    const a = file('a', "import { b } from './b.ts';");
    expect(importCycles([a, file('b', "import { a } from './a.ts';")])).toHaveLength(1);
    expect(importCycles([a, file('b', "import type { a } from './a.ts';")])).toEqual([]);
  });

  it('find globals of a host in code, not in comments', () => {
    const file = (text: string): Source => ({ path: 'src/emu/machine/x.ts', text });
    expect(hostGlobals(file('const t = Date.now(); document.title = 1;'))).toHaveLength(2);
    expect(
      hostGlobals(file("// Date.now() would be wrong\nconst t = this.document.x; const d = 'document.x';")),
    ).toEqual([]);
  });
});
