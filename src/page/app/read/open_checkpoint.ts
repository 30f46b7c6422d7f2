import { Checkpoint } from "../../../checkpoint/file/checkpoint.ts";
import { CHECKPOINT_EXTENSION } from "../../../checkpoint/file/tags.ts";
import type { ContainerReader } from "../../../container/read/container_reader.ts";
import type { TensorRecord } from "../../../container/format/layout.ts";
import type { Storage } from "../../../storage/storage.ts";
import { nameOf } from "../../../storage/storage_path.ts";
import type { OpenedFile, ShownTensor } from "./opened_file.ts";

/** Opens a `.cairn` file, with the files that belong to it. Of one file, its header and its end are read. */
export async function openCheckpointFile(storage: Storage, path: string): Promise<OpenedFile> {
  const name = nameOf(path);
  const tag = name.endsWith(CHECKPOINT_EXTENSION) ? name.slice(0, -CHECKPOINT_EXTENSION.length) : name;
  const checkpoint = await Checkpoint.open(storage, path, tag);
  const { reader } = checkpoint;
  const { manifest } = reader;
  return {
    path,
    format: "cairn",
    storedBytes: reader.chunks.reduce((sum, { storedLength }) => sum + storedLength, 0),
    fileId: reader.fileId,
    tensors: shownTensors(reader),
    metrics: checkpoint.metrics,
    provenance: { ...checkpoint.provenance, ...stepOf(checkpoint) },
    parts: checkpoint.parts.map((part) => part.name),
    trees: { state: manifest.state, user: manifest.user },
    state: () => checkpoint.state(),
    readPart: (tensor, start, end, signal) => reader.read(tensor, { slice: { bytes: [start, end] }, signal }),
    verify: async (onProgress, signal) => (await reader.verify({ onProgress, signal })).damaged,
    close: () => checkpoint.close(),
  };
}

function stepOf({ step }: Checkpoint): { readonly step?: number } {
  return step === undefined ? {} : { step };
}

function shownTensors(reader: ContainerReader): ShownTensor[] {
  const chunks = new ChunkWalk(reader);
  return reader.tensors.map((tensor) => ({
    name: tensor.name,
    shape: tensor.shape,
    byteLength: tensor.byteLength,
    dtype: tensor.dtype,
    storedAs: tensor.dtype,
    ...(tensor.aliasOf === undefined ? {} : { aliasOf: tensor.aliasOf }),
    ...chunks.under(tensor),
  }));
}

/** Finds the chunks of tensors that are asked for in their order, aliases between them. */
class ChunkWalk {
  readonly #reader: ContainerReader;

  constructor(reader: ContainerReader) {
    this.#reader = reader;
  }

  under({ rawOffset, byteLength }: TensorRecord): Pick<ShownTensor, "storedBytes" | "codecs"> {
    const { chunks } = this.#reader;
    const end = rawOffset + byteLength;
    const codecs = new Set<string>();
    let storedBytes = 0;
    for (let index = this.#firstBehind(rawOffset); index < chunks.length; index++) {
      const chunk = chunks[index];
      if (chunk === undefined || chunk.rawOffset >= end) break;
      const inside = Math.min(end, chunk.rawOffset + chunk.rawLength) - Math.max(rawOffset, chunk.rawOffset);
      storedBytes += chunk.storedLength * inside / chunk.rawLength;
      codecs.add(chunk.codec.name);
    }
    return { storedBytes, codecs: [...codecs] };
  }

  /** The first chunk that does not end before `rawOffset`. */
  #firstBehind(rawOffset: number): number {
    const { chunks } = this.#reader;
    let low = 0;
    let high = chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { rawOffset: start = 0, rawLength = 0 } = chunks[middle] ?? {};
      if (start + rawLength <= rawOffset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
