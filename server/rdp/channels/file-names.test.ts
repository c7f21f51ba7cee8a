import fc from 'fast-check';
import { expect, it } from 'vitest';
import { safeFileNames } from './file-names.ts';

it.each([
  ['folder\\sub\\note.txt', 'note.txt'],
  ['..\\..\\autoexec.bat', 'autoexec.bat'],
  ['/etc/passwd', 'passwd'],
  ['..', 'file'],
  ['', 'file'],
  ['C:evil.txt', 'C_evil.txt'],
  ['a<b>c"d|e?f*g.txt', 'a_b_c_d_e_f_g.txt'],
  ['line\r\nend\u0007.txt', 'line__end_.txt'],
  ['trailing. . ', 'trailing'],
  ['  leading', 'leading'],
  ['CON', '_CON'],
  ['nul.txt', '_nul.txt'],
  ['com1 .log', '_com1 .log'],
  ['console.log', 'console.log'],
  // Shown from right to left it would end with another name than it has.
  ['gpj.\u202eexe', 'gpj._exe'],
  ['Grüße 𝄞.txt', 'Grüße 𝄞.txt'],
  ['half \ud834.txt', 'half \ufffd.txt'],
  [`${'x'.repeat(300)}.tar`, `${'x'.repeat(196)}.tar`],
])('%j becomes %j', (path, name) => {
  expect(safeFileNames([path])).toEqual([name]);
});

it('names are unlike one another, in any case of letters', () => {
  expect(safeFileNames(['a\\note.txt', 'b\\NOTE.txt', 'note (2).txt', 'note.txt'])).toEqual([
    'note.txt',
    'NOTE (2).txt',
    'note (2) (2).txt',
    'note (3).txt',
  ]);
});

it('whatever the paths are, a name fits its field and means nothing', () => {
  const unit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code));
  const path = fc.array(fc.oneof(unit, fc.constantFrom('.', ' ', '\\', '/', 'CON', '..')), { maxLength: 400 });
  fc.assert(
    fc.property(fc.array(path, { maxLength: 20 }), (paths) => {
      const names = safeFileNames(paths.map((one) => one.join('')));
      expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(names.length);
      for (const name of names) {
        expect(name.length).toBeGreaterThan(0);
        expect(name.length).toBeLessThan(220);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be there.
        expect(name).not.toMatch(/[\u0000-\u001f<>:"/\\|?*]|[. ]$|^\.\.?$|^(con|nul|prn|aux)(\.|$)/i);
        expect(name.isWellFormed()).toBe(true);
      }
    }),
  );
});
