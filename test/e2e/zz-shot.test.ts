import { test } from 'vitest';
import { openLab } from './support/page-test.ts';
import { BOOT_MS, prepare, type, untilScreen } from './support/machine-page.ts';
test('shot', async () => {
  const lab = await openLab();
  const { page } = await lab.visit('/?vm=debian&autostart=1');
  await prepare(page);
  await untilScreen(page, /BOOT-OK[\s\S]*# *$/m, BOOT_MS);
  await type(page, 'uname -a; ls /bin | head -20 | tr "\\n" " "\n'.replace(/\n$/, ''));
  await page.keyboard.press('Enter');
  await new Promise((r) => setTimeout(r, 2500));
  await page.screenshot({ path: 'src/display/screenshot.png' });
  await lab.close();
}, 400_000);
