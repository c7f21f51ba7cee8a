/** A module of its own for a worklet, bundled by Vite: what is imported is its address, a string. */
declare module '*?worker&url';
