/**
 * The built page on a real server in a real browser: what every test of this folder starts from.
 * Needs `npm run build` and the guests; `npm test` makes both.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BrowserContext, chromium, type Page } from 'playwright';
import { parseServeOptions } from '../../../server/bin/serve-options.mjs';
import { startFromOptions } from '../../../server/cli/serve.ts';
import type { RunningServer } from '../../../server/http/serve.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const PAGE_DIRECTORY: string = join(ROOT, 'dist', 'page');
/** As server/bin/prepare.mjs has it. */
export const GUESTS_DIRECTORY: string = join(
  process.env['TABBOX_CACHE'] || join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'tabbox'),
  'guests',
);
export const CHROMIUM: readonly string[] = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
export const CHROMIUM_ARGUMENTS: string[] = [
  '--no-sandbox',
  '--autoplay-policy=user-gesture-required',
  // Tabs find each other on this computer, whatever its networks, and without asking them for names.
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
];
const VIEWPORT = { width: 1280, height: 960 };

/** A person's browser profile with a page of it. */
export interface Visit {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the page logged as errors. */
  readonly errors: readonly string[];
}

export interface Lab {
  readonly server: RunningServer;
  /** Ends the server with its relay, and starts another at the same address. */
  stopServer(): Promise<void>;
  startServer(): Promise<void>;
  /** Opens `path` in the profile `name`, which lasts until the lab closes: IndexedDB and all. */
  visit(path?: string, name?: string): Promise<Visit>;
  close(): Promise<void>;
}

/**
 * @param guests default: the real ones
 * @param pageDirectory default: the page as it was built
 * @param browserArguments besides the usual ones
 */
export async function openLab(
  guests: string = GUESTS_DIRECTORY,
  pageDirectory: string = PAGE_DIRECTORY,
  browserArguments: readonly string[] = [],
): Promise<Lab> {
  if (!existsSync(join(PAGE_DIRECTORY, 'index.html'))) throw new Error('dist/page is missing: npm run build');
  const profiles = await mkdtemp(join(tmpdir(), 'tabbox-e2e-'));
  const serve = (port: number): Promise<RunningServer> => {
    const options = parseServeOptions(['--port', String(port), '--state', join(profiles, 'state')]);
    return startFromOptions(options, { pageDirectory, guestsDirectory: guests });
  };
  let server = await serve(0);
  const contexts = new Set<BrowserContext>();
  return {
    get server() {
      return server;
    },
    stopServer: () => server.close(),
    async startServer() {
      server = await serve(server.port);
    },
    async visit(path = '', name = 'person') {
      const context = await openProfile(join(profiles, name), browserArguments);
      contexts.add(context);
      context.once('close', () => contexts.delete(context));
      const page = context.pages()[0] ?? (await context.newPage());
      const errors = watch(page);
      await page.goto(new URL(path, server.url).href);
      return { context, page, errors };
    },
    async close() {
      for (const context of contexts) await context.close();
      await server.close();
      await rm(profiles, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export async function openProfile(directory: string, more: readonly string[] = []): Promise<BrowserContext> {
  const executablePath = CHROMIUM.find((path) => existsSync(path));
  return chromium.launchPersistentContext(directory, {
    ...(executablePath ? { executablePath } : {}),
    args: [...CHROMIUM_ARGUMENTS, ...more],
    viewport: VIEWPORT,
    permissions: ['clipboard-read', 'clipboard-write'],
  });
}

/** Collects what goes wrong inside a page. */
export function watch(page: Page): string[] {
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  // Leaving a page with a machine on asks first.
  page.on('dialog', (dialog) => void dialog.accept().catch(() => {}));
  return errors;
}
