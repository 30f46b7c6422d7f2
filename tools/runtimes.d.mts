/** Where Bun is, if it is there. */
export function bunPath(): string | undefined;
