/** Where Bun is, if it is there. */
export function bunPath(): string | undefined;
/** Where Deno is, if it is there. */
export function denoPath(): string | undefined;
