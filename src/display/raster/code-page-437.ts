/**
 * Code page 437 as it looks on a screen: every code has a glyph, control codes included.
 * Source: Unicode Consortium, VENDORS/MICSFT/PC/CP437.TXT; IBM graphics characters 01h-1Fh.
 */
const LOW = ' ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼';
const HIGH =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0';
const ASCII: string = Array.from({ length: 0x5f }, (_, i) => String.fromCharCode(0x20 + i)).join('');

/** One UTF-16 unit for each of the 256 codes. */
export const CODE_PAGE_437: string = `${LOW}${ASCII}⌂${HIGH}`;
