/** Where Bun is, if it is there. */
export function bunPath(): string | undefined;
/** Where Deno is, if it is there. */
export function denoPath(): string | undefined;

/** The command that runs a script in `"bun"`, `"deno"` or `"node"`: the program and what stands before the script. */
export function runtimeCommand(runtime: string): string[];

/** The environment for child processes. */
export function environment(extra?: Record<string, string>): Record<string, string | undefined>;
