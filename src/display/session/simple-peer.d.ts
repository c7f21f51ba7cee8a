/** What is used of simple-peer 9, whose package has no types; its browser build, because the other needs Node's streams. */
declare module 'simple-peer/simplepeer.min.js' {
  interface SimplePeerEvents {
    signal: (data: unknown) => void;
    connect: () => void;
    data: (data: Uint8Array) => void;
    error: (error: Error) => void;
    close: () => void;
  }
  class SimplePeer {
    constructor(options: { initiator: boolean; config: RTCConfiguration });
    readonly connected: boolean;
    readonly destroyed: boolean;
    on<Name extends keyof SimplePeerEvents>(name: Name, listener: SimplePeerEvents[Name]): void;
    signal(data: unknown): void;
    send(data: Uint8Array): void;
    destroy(): void;
  }
  export = SimplePeer;
}
