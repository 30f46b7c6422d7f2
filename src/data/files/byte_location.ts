import { kindOf } from "../../base/options/kind_of.ts";
import type { ByteSource } from "../../container/source.ts";
import { BlobSource } from "../../storage/blob_source.ts";
import { FileSource } from "../../storage/file_source.ts";
import { HttpSource } from "../../storage/http_source.ts";

/**
 * Where a file of data is: a path, a `file:` URL, an address of a web server that gives ranges, a `Blob`, or any source
 * of bytes, which stays the caller's.
 */
export type FileOfData = string | URL | Blob | ByteSource;

/** A file of data, open. */
export interface OpenedFile {
  readonly source: ByteSource;
  /** For messages. */
  readonly name: string;
  /** Closes what was opened here. */
  close(): Promise<void>;
}

/** @throws CairnError `not_found`, `storage_failed` or `unsupported`; TypeError for what is no location. */
export async function openFileOfData(file: FileOfData): Promise<OpenedFile> {
  if (typeof file === "string" || file instanceof URL) {
    const name = String(file);
    const source: ByteSource = /^https?:\/\//i.test(name)
      ? await HttpSource.open(file)
      : await FileSource.open(/^file:/i.test(name) ? new URL(name) : file);
    return { source, name, close: async () => await source.close?.() };
  }
  const close = (): Promise<void> => Promise.resolve();
  if (file instanceof Blob) return { source: new BlobSource(file), name: nameOfBlob(file), close };
  const given: Partial<ByteSource> | null | undefined = file;
  if (typeof given?.read === "function" && typeof given.byteLength === "number") {
    return { source: file, name: "the file", close };
  }
  throw new TypeError(`A file of data is a path, a URL, a Blob or a source of bytes, found ${kindOf(file)}`);
}

function nameOfBlob(blob: Blob): string {
  return "name" in blob && typeof blob.name === "string" ? blob.name : "the blob";
}
