/** Several people with browsers of their own: contexts of one Chromium, which share nothing but start at once. */
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright';
import { CHROMIUM, CHROMIUM_ARGUMENTS, type Visit, watch } from './page-test.ts';

export class People {
  readonly #browser: Browser;
  readonly #visits: Visit[] = [];

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async gather(): Promise<People> {
    const executablePath = CHROMIUM.find((path) => existsSync(path));
    const browser = await chromium.launch({ ...(executablePath ? { executablePath } : {}), args: CHROMIUM_ARGUMENTS });
    return new People(browser);
  }

  /** @param prepare runs before anything of the page does */
  async open(address: string, prepare: (page: Page) => Promise<void> = async () => {}): Promise<Visit> {
    const context = await this.#browser.newContext({
      viewport: { width: 1000, height: 700 },
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    const page = await context.newPage();
    const visit = { context, page, errors: watch(page) };
    this.#visits.push(visit);
    await prepare(page);
    await page.goto(address);
    return visit;
  }

  /** What pages logged as errors. */
  get errors(): string[] {
    return this.#visits.flatMap(({ errors }) => errors);
  }

  close(): Promise<void> {
    return this.#browser.close();
  }
}
