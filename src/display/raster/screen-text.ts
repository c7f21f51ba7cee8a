/** What a text screen says, for tests, logs and screen readers. */
import { FRAME, FRAME_KIND, FRAME_WORDS, type SharedFrame } from '#emu/host/frame.ts';
import { CODE_PAGE_437 } from './code-page-437.ts';
import { textBands } from './screen-lines.ts';

/**
 * The lines of a text screen from top to bottom, without spaces at their ends; no lines in graphics modes.
 * Codes are read as code page 437 whatever font the guest has loaded.
 */
export function screenText(frame: SharedFrame, vram: Uint8Array): string[] {
  const record = new Uint32Array(FRAME_WORDS);
  frame.read(record);
  if (record[FRAME.kind] !== FRAME_KIND.text) return [];
  const columns = Math.floor(record[FRAME.width] / record[FRAME.cellWidth]);
  return textBands(record).map(({ address }) => {
    let line = '';
    for (let column = 0; column < columns; column++) {
      line += CODE_PAGE_437[vram[(address + column * 4) & record[FRAME.addressMask]]];
    }
    return line.replace(/[ \u00a0]+$/, '');
  });
}
