import { encodeState } from "../../container/format/encode_state.ts";
import type { Inspection } from "./inspection.ts";
import type { ListedTensor, OpenedFile } from "../open/opened_file.ts";
import type { Json } from "../print/json.ts";
import type { Statistics } from "./statistics.ts";

/** What `inspect --json` prints. */
export function inspectionJson({ file, tensors, total, statistics }: Inspection): Json {
  return {
    file: file.label,
    format: file.format,
    fileBytes: file.fileBytes,
    files: file.fileCount,
    ...manifestJson(file),
    tensorCount: total,
    tensors: tensors.map((tensor) => ({
      ...tensorJson(tensor),
      statistics: statisticsJson(statistics.get(tensor.name)),
    })),
  };
}

/** A tensor of a file as JSON, without its elements. */
export function tensorJson(
  { name, dtype, storedAs, shape, byteLength, storedBytes, codecs, aliasOf, problem }: ListedTensor,
): {
  readonly [key: string]: Json;
} {
  return { name, dtype: dtype ?? null, storedAs, shape, byteLength, storedBytes, codecs, aliasOf, problem };
}

/** State and what the user kept are as `FORMAT.md` writes them, so that a Map or a NaN is there. */
function manifestJson({ container, beside }: OpenedFile): { readonly [key: string]: Json } {
  if (container === undefined) {
    return beside instanceof Map ? { metadata: Object.fromEntries(beside) as { [key: string]: Json } } : {};
  }
  const { kind, state, metrics, provenance, user } = container.manifest;
  return {
    kind,
    fileId: container.fileId,
    metrics,
    provenance: { ...provenance },
    state: encodeState(state),
    user: encodeState(user),
  };
}

function statisticsJson(statistics: Statistics | undefined): Json {
  return statistics === undefined ? undefined : { ...statistics };
}
