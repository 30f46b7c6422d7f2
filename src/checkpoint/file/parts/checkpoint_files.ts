import { hexOf } from "../../../base/hex.ts";
import { CairnError } from "../../../base/errors.ts";
import { ContainerReader } from "../../../container/read/container_reader.ts";
import type { PartRecord } from "../../../container/format/part_list.ts";
import type { ByteSource } from "../../../container/source.ts";
import { TRAILER_BYTES, trailerChecksum } from "../../../container/format/trailer.ts";
import type { Storage } from "../../../storage/storage.ts";
import { directoryOf } from "../../../storage/storage_path.ts";
import { openSource } from "../storage_source.ts";
import { partPath } from "./part_files.ts";

/** A part of a checkpoint, open. It is the file that the index names. */
export interface OpenPart {
  readonly record: PartRecord;
  readonly reader: ContainerReader;
}

/** How often a checkpoint is opened again that was replaced while it was being opened. */
const MOST_ATTEMPTS = 5;

/** All files of a checkpoint, open: its index, which often is all of it, and its parts. */
export class CheckpointFiles {
  readonly index: ContainerReader;
  readonly parts: readonly OpenPart[];

  private constructor(index: ContainerReader, parts: readonly OpenPart[]) {
    this.index = index;
    this.parts = parts;
  }

  /**
   * Opens them. What replaces the checkpoint meanwhile is opened instead.
   *
   * @throws CairnError `not_found` where there is no index; `invalid_container` for a part that is missing or another
   * file; what else is wrong with one of them.
   */
  static async open(storage: Storage, path: string, signal?: AbortSignal): Promise<CheckpointFiles> {
    for (let attempt = 1;; attempt++) {
      const index = await openReader(await openSource(storage, path), signal);
      try {
        return new CheckpointFiles(index, await openParts(storage, path, index, signal));
      } catch (error) {
        await index.close();
        const isGone = error instanceof CairnError && error.cause instanceof CairnError &&
          error.cause.code === "not_found";
        if (!isGone || attempt === MOST_ATTEMPTS) throw error;
        // Where another process removed or replaced the checkpoint, its parts went after its index.
        if (await fileIdAt(storage, path, signal) === index.fileId) throw error;
      }
    }
  }

  async close(): Promise<void> {
    for (const { reader } of this.parts) await reader.close();
    await this.index.close();
  }
}

/** A source is closed when it cannot be opened as a container. */
async function openReader(
  source: ByteSource & { close(): Promise<void> },
  signal: AbortSignal | undefined,
): Promise<ContainerReader> {
  try {
    return await ContainerReader.open(source, { signal });
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function fileIdAt(storage: Storage, path: string, signal: AbortSignal | undefined): Promise<string> {
  const reader = await openReader(await openSource(storage, path), signal);
  await reader.close();
  return reader.fileId;
}

async function openParts(
  storage: Storage,
  path: string,
  index: ContainerReader,
  signal: AbortSignal | undefined,
): Promise<OpenPart[]> {
  const parts: OpenPart[] = [];
  try {
    for (const record of index.manifest.parts?.files ?? []) {
      parts.push({ record, reader: await openPart(storage, directoryOf(path), record, signal) });
    }
    return parts;
  } catch (error) {
    for (const { reader } of parts) await reader.close();
    throw error;
  }
}

/** Opens a part that `record` says is in a checkpoint of `directory`, and makes sure that it is that very file. */
export async function openPart(
  storage: Storage,
  directory: string,
  record: PartRecord,
  signal: AbortSignal | undefined,
): Promise<ContainerReader> {
  const { source, path } = await findPart(storage, directory, record);
  const label = `part "${record.name}" (${storage.describe(path)})`;
  try {
    await requirePinned(source, record, label);
    const reader = await ContainerReader.open(source, { signal });
    const isMeant = reader.fileId === record.fileId && reader.manifest.parts === undefined;
    if (!isMeant) throw otherFile(label, `its file id is ${reader.fileId}, expected ${record.fileId}`);
    return reader;
  } catch (error) {
    await source.close();
    if (!(error instanceof CairnError) || error.message.includes(label)) throw error;
    throw new CairnError(error.code, `In ${label}: ${error.message}`, {
      details: { ...error.details, path: storage.describe(path) },
      cause: error,
    });
  }
}

/**
 * In the directory of parts beside the index; or, for an index in the quarantine, beside the directory that it is in.
 */
async function findPart(
  storage: Storage,
  directory: string,
  record: PartRecord,
): Promise<{ source: ByteSource & { close(): Promise<void> }; path: string }> {
  const directories = directory === "" ? [directory] : [directory, directoryOf(directory)];
  let cause: unknown;
  for (const each of directories) {
    const path = partPath(each, record);
    try {
      return { source: await openSource(storage, path), path };
    } catch (error) {
      if (!(error instanceof CairnError) || error.code !== "not_found") throw error;
      cause = error;
    }
  }
  const path = storage.describe(partPath(directory, record));
  throw new CairnError(
    "invalid_container",
    `Its part "${record.name}" is missing: there is no ${path}; put that file back, or load another checkpoint`,
    { details: { path }, cause },
  );
}

async function requirePinned(source: ByteSource, record: PartRecord, label: string): Promise<void> {
  if (source.byteLength !== record.byteLength) {
    throw otherFile(label, `it has ${source.byteLength} bytes, expected ${record.byteLength}`);
  }
  const trailer = new Uint8Array(TRAILER_BYTES);
  await source.read(source.byteLength - TRAILER_BYTES, trailer);
  const checksum = trailerChecksum(trailer);
  if (checksum !== record.checksum) {
    throw otherFile(
      label,
      `its trailer's checksum is ${hexOf(checksum)}, expected ${hexOf(record.checksum)}`,
    );
  }
}

function otherFile(label: string, why: string): CairnError {
  return new CairnError(
    "invalid_container",
    `Its ${label} is damaged or is not the file that was saved: ${why}`,
  );
}
