/**
 * Where bytes live: directories, memory, a page's own files, blobs and HTTP ranges. `Storage` is what a place of your
 * own implements.
 *
 * @example
 * ```ts
 * import { Snapshot } from "@cairn-ml/cairn";
 * import { FileEngine } from "@cairn-ml/cairn/engine";
 * import { MemoryStorage } from "@cairn-ml/cairn/storage";
 *
 * const storage = new MemoryStorage();
 * const snapshot = new Snapshot(await FileEngine.open(storage), { notes: { epoch: 3 } });
 * await (await snapshot.save(1)).wait();
 * await snapshot.close();
 * console.log(await storage.list("")); // 1.cairn, and the hint `latest`
 * ```
 *
 * @module
 */
export { BlobSource } from "../storage/blob_source.ts";
export { FileSource } from "../storage/file_source.ts";
export { FileStorage } from "../storage/file_storage.ts";
export type { HttpRequestOptions } from "../storage/http_request.ts";
export { HttpSource, type HttpSourceOptions } from "../storage/http_source.ts";
export { MemoryStorage, type MemoryStorageOptions } from "../storage/memory_storage.ts";
export { OpfsStorage } from "../storage/opfs/opfs_storage.ts";
export { openStorage, type StorageOpener, type Storages } from "../storage/open_storage.ts";
export type {
  ListOptions,
  MoveOptions,
  Storage,
  StorageEntry,
  StorageReader,
  StorageWriter,
} from "../storage/storage.ts";
export { openSource } from "../checkpoint/file/storage_source.ts";
