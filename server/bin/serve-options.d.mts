export interface ServeCommandOptions {
  readonly help: boolean;
  readonly host: string;
  readonly ports: readonly number[];
  readonly tlsCertificate: string | undefined;
  readonly tlsKey: string | undefined;
  /** As given; what is in them is read once the rest of the program is there. */
  readonly natNetworks: readonly string[];
  readonly dhcpServers: readonly string[];
  readonly hostOnlyInterfaces: readonly string[];
  readonly state: string | undefined;
  readonly ownPageTokens: boolean;
}
export function serveUsage(command: string): string;
export function parseServeOptions(args: readonly string[]): ServeCommandOptions;
