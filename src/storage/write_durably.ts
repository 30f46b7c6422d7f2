import { type CommitOptions, DurableFile, type DurableFileOptions } from "./durable_file.ts";
import type { Storage } from "./storage.ts";

/**
 * What `write` writes, as a file that is there completely and durably when this resolves; or, where anything fails,
 * what was there before.
 */
export async function writeDurably<Report>(
  storage: Storage,
  path: string,
  { verify, signal, ...options }: DurableFileOptions & CommitOptions,
  write: (file: DurableFile) => Promise<Report>,
): Promise<Report> {
  const file = await DurableFile.create(storage, path, options);
  try {
    const report = await write(file);
    await file.commit({ verify, signal });
    return report;
  } catch (error) {
    await file.abort().catch(() => {});
    throw error;
  }
}
