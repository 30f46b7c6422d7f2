import { concatenated } from "../../base/bytes/concatenated.ts";
import { CairnError } from "../../base/errors.ts";
import { cutLocation } from "../../storage/cut_location.ts";
import { openStorage, type Storages } from "../../storage/open_storage.ts";
import type { Storage, StorageReader, StorageWriter } from "../../storage/storage.ts";

/** A storage whose files may grow and be cut. */
export type LogStorage = Storage & Required<Pick<Storage, "openAppend" | "truncate">>;

/**
 * Opens the directory of a log, which is made where it is missing.
 *
 * @param what The function that the log was made with.
 * @throws CairnError `unsupported` for a storage that cannot append to a file or cut it, by its name.
 */
export async function openLogStorage(
  what: string,
  location: string,
  storages: Storages,
): Promise<LogStorage> {
  const storage = await openStorage(location, storages);
  if (!canLog(storage)) {
    throw new CairnError(
      "unsupported",
      `${what} cannot write to "${
        storage.describe("")
      }": its storage has no openAppend() and truncate(), which a log ` +
        "needs; give a path of the file system, memory:, or a storage that has them",
      { details: { path: storage.describe(""), op: "openAppend" } },
    );
  }
  await storage.makeDirectory("");
  return storage;
}

function canLog(storage: Storage): storage is LogStorage {
  return storage.openAppend !== undefined && storage.truncate !== undefined;
}

/**
 * The directory and the name of a log's file.
 *
 * @throws TypeError where there is no name.
 */
export function logLocation(
  what: string,
  path: string | URL,
  storages: Storages,
): { readonly directory: string; readonly name: string } {
  const { directory, name } = cutLocation(path, storages);
  if (!["", ".", ".."].includes(name)) return { directory, name };
  throw new TypeError(
    `${what} takes the path of a file, such as "runs/a/log.jsonl", found ${JSON.stringify(path)}`,
  );
}

const PIECE_BYTES = 1 << 20;

/** All bytes of a file; none where there is no such file. */
export async function readWhole(storage: Storage, name: string): Promise<Uint8Array | undefined> {
  let reader: StorageReader;
  try {
    reader = await storage.openRead(name);
  } catch (error) {
    if (error instanceof CairnError && error.code === "not_found") return undefined;
    throw error;
  }
  try {
    const bytes = new Uint8Array(reader.byteLength);
    let at = 0;
    while (at < bytes.length) {
      const read = await reader.read(at, bytes.subarray(at, at + PIECE_BYTES));
      if (read === 0) break;
      at += read;
    }
    return bytes.subarray(0, at);
  } finally {
    await reader.close();
  }
}

/** Where a record of a file is. */
export interface RecordRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Takes out of a file all but some of its records: cuts it before the first that goes, and appends those behind it that
 * stay. A process that is killed in between has lost some that stay.
 *
 * @param bytes What the file has.
 * @param records All of them, in order. What is behind the last one goes, as the beginning of one that was never whole.
 */
export async function keepRecords(
  storage: LogStorage,
  name: string,
  bytes: Uint8Array,
  records: readonly (RecordRange & { readonly stays: boolean })[],
): Promise<void> {
  const firstGone = records.findIndex(({ stays }) => !stays);
  const kept = firstGone < 0 ? records : records.slice(0, firstGone);
  const end = kept.at(-1)?.end ?? 0;
  const behind = records.slice(kept.length).filter(({ stays }) => stays);
  if (end < bytes.length) await storage.truncate(name, end);
  if (behind.length === 0) return;
  const writer = await storage.openAppend(name);
  try {
    await writeAll(writer, concatenated(behind.map((record) => bytes.subarray(record.start, record.end))));
  } finally {
    await writer.close();
  }
}

export async function writeAll(writer: StorageWriter, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const written = await writer.write(bytes.subarray(at));
    if (written === 0) {
      throw new CairnError("disk_full", "A log cannot be written: its storage takes no more");
    }
    at += written;
  }
}

/** Has what was written be durable, and closes the file also where that fails. */
export async function closeDurably(writer: StorageWriter): Promise<void> {
  try {
    await writer.sync();
  } finally {
    await writer.close();
  }
}
