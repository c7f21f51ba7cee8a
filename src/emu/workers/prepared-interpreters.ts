/** The CPU's interpreters as the build has made them, fetched from beside this program; see `interpreterBytes`. */

/** Names in the folder of the program, set by the build; there are none without a build. */
declare const INTERPRETER_FILES: { readonly narrow: string; readonly wide: string };

export class PreparedInterpreters {
  /** Compiled; undefined until they are there, and when they cannot be had: the CPU makes them itself then. */
  narrow: unknown;
  wide: unknown;
  /** Resolves when `narrow` is there or will not be. Most machines need `wide` later or never: nobody waits for it. */
  readonly narrowLoaded: Promise<void>;

  constructor() {
    if (typeof INTERPRETER_FILES === 'undefined') {
      this.narrowLoaded = Promise.resolve();
      return;
    }
    const files = INTERPRETER_FILES;
    this.narrowLoaded = load(files.narrow).then((module) => {
      this.narrow = module;
    });
    void this.narrowLoaded
      .then(() => load(files.wide))
      .then((module) => {
        this.wide = module;
      });
  }
}

/** Compiling while it arrives lets a browser keep the compiled code for the next visit. */
async function load(name: string): Promise<unknown> {
  try {
    return await WebAssembly.compileStreaming(fetch(new URL(name, import.meta.url)));
  } catch {
    return undefined;
  }
}
