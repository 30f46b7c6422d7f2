import { CheckpointFiles } from "../../checkpoint/file/parts/checkpoint_files.ts";
import { joinForRank } from "../../checkpoint/file/parts/rank_view.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import type { Place } from "./locate.ts";
import type { ListedTensor, OpenedFile } from "./opened_file.ts";

/** Opens a `.cairn` file with its parts: their tables are read and checked, and no tensor. */
export async function openContainerFile(place: Place, byteLength: number): Promise<OpenedFile> {
  const files = await CheckpointFiles.open(place.storage, place.path);
  const { reader } = joinForRank(files);
  const parts = files.parts.map(({ record }) => record);
  return {
    format: "cairn",
    label: place.label,
    fileBytes: parts.reduce((sum, part) => sum + part.byteLength, byteLength),
    fileCount: 1 + parts.length,
    container: reader,
    list: () => Promise.resolve(listed(reader, [files.index, ...files.parts.map((part) => part.reader)])),
    async *pieces(name) {
      for await (const { bytes } of reader.stream(name)) yield bytes;
    },
    async close() {
      await reader.close();
      await files.close();
    },
  };
}

interface Stored {
  bytes: number;
  readonly codecs: Set<string>;
}

function listed(reader: ContainerReader, files: readonly ContainerReader[]): ListedTensor[] {
  const stored = new Map<string, Stored>();
  for (const file of files) addStored(file, stored);
  return reader.tensors.map(({ name, dtype, shape, byteLength, aliasOf }) => {
    const found = aliasOf === undefined ? stored.get(name) : undefined;
    return {
      name,
      dtype,
      storedAs: dtype,
      shape,
      byteLength,
      aliasOf,
      storedBytes: aliasOf === undefined ? Math.round(found?.bytes ?? 0) : undefined,
      codecs: found === undefined ? undefined : [...found.codecs],
    };
  });
}

/** Tensors and chunks are both in the order of the raw space; of a chunk with several tensors each has its share. */
function addStored({ tensors, chunks }: ContainerReader, stored: Map<string, Stored>): void {
  let first = 0;
  for (const { name, rawOffset, byteLength, aliasOf } of tensors) {
    if (aliasOf !== undefined || byteLength === 0) continue;
    const end = rawOffset + byteLength;
    const entry = stored.get(name) ?? { bytes: 0, codecs: new Set() };
    stored.set(name, entry);
    while (first < chunks.length && endOf(chunks[first]) <= rawOffset) first++;
    for (let at = first; at < chunks.length; at++) {
      const chunk = chunks[at];
      if (chunk === undefined || chunk.rawOffset >= end) break;
      const overlap = Math.min(end, endOf(chunk)) - Math.max(rawOffset, chunk.rawOffset);
      entry.bytes += chunk.storedLength * overlap / chunk.rawLength;
      entry.codecs.add(chunk.codec.name);
    }
  }
}

function endOf(chunk: { readonly rawOffset: number; readonly rawLength: number } | undefined): number {
  return chunk === undefined ? 0 : chunk.rawOffset + chunk.rawLength;
}
