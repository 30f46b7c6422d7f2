import type { Manifest } from "../../src/container/format/manifest.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { bytesSource } from "../../src/container/source.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { counterRandom } from "./fixtures.ts";

/** The same tensors with another manifest, as another program could have written it. */
export async function withManifest(
  bytes: Uint8Array,
  change: (manifest: Manifest) => Manifest,
): Promise<Uint8Array> {
  const reader = await ContainerReader.open(bytesSource(bytes));
  const tensors = [];
  for (const { name, dtype, shape, aliasOf } of reader.tensors) {
    const spec = aliasOf === undefined ? { name, dtype, shape } : { name, dtype, shape, aliasOf };
    tensors.push({ spec, bytes: aliasOf === undefined ? await reader.read(name) : new Uint8Array() });
  }
  const fileId = counterRandom(bytes.byteLength)(16);
  return await writeContainer({ tensors, manifest: change(reader.manifest), fileId });
}

/** Everything of a file. */
export async function readFileOf(storage: Storage, path: string): Promise<Uint8Array> {
  const reader = await storage.openRead(path);
  const bytes = new Uint8Array(reader.byteLength);
  for (let at = 0; at < bytes.byteLength;) at += await reader.read(at, bytes.subarray(at));
  await reader.close();
  return bytes;
}

/** Puts a file into a storage, whatever its name. */
export async function putFile(storage: Storage, path: string, bytes: Uint8Array): Promise<void> {
  const writer = await storage.createExclusive(path);
  for (let at = 0; at < bytes.byteLength;) at += await writer.write(bytes.subarray(at));
  await writer.close();
}

/** A storage in memory with the files. */
export async function storageWith(files: Readonly<Record<string, Uint8Array>>): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  for (const [path, bytes] of Object.entries(files)) await putFile(storage, path, bytes);
  return storage;
}
