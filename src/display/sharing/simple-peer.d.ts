/** What is used of simple-peer; its package has no types. */
declare module 'simple-peer/simplepeer.min.js' {
  interface Options {
    readonly initiator: boolean;
    readonly trickle: boolean;
    readonly config: RTCConfiguration;
  }
  class SimplePeer {
    constructor(options: Options);
    on(event: 'signal', listener: (data: unknown) => void): this;
    on(event: 'data', listener: (data: Uint8Array) => void): this;
    on(event: 'connect' | 'close' | 'error', listener: () => void): this;
    signal(data: unknown): void;
    send(data: Uint8Array): void;
    destroy(): void;
  }

  export { SimplePeer as default };
}
