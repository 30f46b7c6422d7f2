import { CairnError } from "../../../base/errors.ts";
import { openSource } from "../../../checkpoint/file/storage_source.ts";
import { readSafetensorsHeader } from "../../../exchange/safetensors/safetensors_header.ts";
import type { Storage } from "../../../storage/storage.ts";
import type { OpenedFile } from "./opened_file.ts";

/** Opens a safetensors file. Only its header is read. The format has no checksums. */
export async function openSafetensorsFile(storage: Storage, path: string): Promise<OpenedFile> {
  const source = await openSource(storage, path);
  const { entries, metadata } = await readSafetensorsHeader(source);
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  return {
    path,
    format: "safetensors",
    storedBytes: entries.reduce((sum, { byteLength }) => sum + byteLength, 0),
    fileId: undefined,
    tensors: entries.map(({ name, shape, byteLength, dtype }) => ({
      name,
      shape,
      byteLength,
      dtype: dtype.dtype,
      storedAs: dtype.name,
      storedBytes: byteLength,
      codecs: [],
    })),
    metrics: {},
    provenance: {},
    parts: [],
    trees: { metadata: new Map(metadata) },
    state: () => Promise.resolve(undefined),
    async readPart(name, start, end) {
      const entry = byName.get(name);
      if (entry === undefined) throw new CairnError("not_found", `There is no tensor "${name}" in the file`);
      const bytes = new Uint8Array(end - start);
      await source.read(entry.offset + start, bytes);
      return bytes;
    },
    verify: undefined,
    close: () => source.close(),
  };
}
