export interface ServeCommandOptions {
  readonly help: boolean;
  readonly host: string;
  readonly ports: readonly number[];
  readonly tlsCertificate: string | undefined;
  readonly tlsKey: string | undefined;
  readonly state: string | undefined;
  readonly ownPageTokens: boolean;
}
export function serveUsage(command: string): string;
export function parseServeOptions(args: readonly string[]): ServeCommandOptions;
