/**
 * Names of files that come from somebody else's computer, made so that any computer can have them and none is led astray.
 * Source: Windows' "Naming Files, Paths, and Namespaces", which is the strictest.
 */

const LONGEST = 200;
/** What separates, means something, or shows another name than there is (directions of writing). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f<>:"/\\|?*\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]/g;
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(\.|$)/i;

/**
 * @param paths with folders or without, separated by backslashes or slashes; the folders are left out
 * @returns a name for each, unlike all others in any case of letters
 */
export function safeFileNames(paths: readonly string[]): string[] {
  const taken = new Set<string>();
  return paths.map((path) => {
    const name = safe(path);
    const [stem, ending] = split(name);
    let unlike = name;
    for (let i = 2; taken.has(unlike.toLowerCase()); i++) unlike = `${stem} (${i})${ending}`;
    taken.add(unlike.toLowerCase());
    return unlike;
  });
}

function safe(path: string): string {
  const last = path.slice(Math.max(path.lastIndexOf('\\'), path.lastIndexOf('/')) + 1);
  // Windows leaves dots and spaces at the end out, so that two names would be one.
  const clean = last
    .replace(FORBIDDEN, '_')
    .toWellFormed()
    .replace(/[. ]+$/, '')
    .trimStart();
  if (clean === '') return 'file';
  const named = DEVICE.test(clean) ? `_${clean}` : clean;
  if (named.length <= LONGEST) return named;
  const [stem, ending] = split(named);
  return ending.length > 20 ? cut(named, LONGEST) : cut(stem, LONGEST - ending.length) + ending;
}

/** Not between the halves of a character, and with no dot or space at the end. */
const cut = (text: string, length: number): string =>
  text
    .slice(0, length)
    .replace(/[\ud800-\udbff]$/, '')
    .replace(/[. ]+$/, '');

function split(name: string): [string, string] {
  const dot = name.lastIndexOf('.');
  return dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
}
