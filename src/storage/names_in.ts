import type { Storage } from "./storage.ts";

/** The names in a directory in order, at the price of one listing, whatever their number. */
export async function namesIn(storage: Storage, directory: string): Promise<string[]> {
  if (storage.names !== undefined) return await storage.names(directory);
  return (await storage.list(directory)).map(({ name }) => name);
}
