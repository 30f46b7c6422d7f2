import { type NameSelection, renameBy, type RenameRule } from "../../base/name_pattern.ts";
import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { isStoreTensor } from "../../checkpoint/file/parts/placement.ts";
import { castBytes, type CastDType, isCastable } from "../../container/read/cast.ts";
import type { CheckedTensor } from "../../exchange/outgoing.ts";
import type { ListedTensor, OpenedFile } from "../open/opened_file.ts";

/** What becomes of the tensors of a file. */
export interface Conversion {
  readonly selection: NameSelection;
  readonly rename: readonly RenameRule[];
  readonly dtype?: CastDType | undefined;
}

/** The tensors of a file in its order, and what was left out without being asked for. */
export interface Converted {
  readonly tensors: readonly CheckedTensor[];
  /** Typed arrays of a checkpoint's state, which mean nothing without it. */
  readonly stateTensors: readonly string[];
}

/**
 * The tensors to write: chosen, renamed and cast. Each is read when it is its turn.
 *
 * @throws CairnError `unsupported` for a tensor that cannot be read; TypeError for a name that is there twice.
 */
export async function convertedTensors(file: OpenedFile, conversion: Conversion): Promise<Converted> {
  const listed = await file.list();
  const stateTensors: string[] = [];
  const taken = new Map<string, ListedTensor>();
  for (const tensor of listed) {
    if (!conversion.selection.has(tensor.name)) continue;
    if (file.format === "cairn" && !isStoreTensor(tensor.name)) stateTensors.push(tensor.name);
    else taken.set(tensor.name, tensor);
  }
  const newName = (name: string): string => renameBy(conversion.rename, name);
  const tensors = [...taken.values()].map((tensor): CheckedTensor => {
    const { name, shape, byteLength } = tensor;
    const dtype = dtypeOf(file, tensor);
    const cast = conversion.dtype !== undefined && isCastable(dtype) ? conversion.dtype : dtype;
    const aliasOf = tensor.aliasOf !== undefined && taken.has(tensor.aliasOf) ? tensor.aliasOf : undefined;
    return {
      name: newName(name),
      dtype: cast,
      shape,
      byteLength: byteLength / byteSizeOf(dtype) * byteSizeOf(cast),
      aliasOf: aliasOf === undefined ? undefined : newName(aliasOf),
      pieces: () => castPieces(file.pieces(name), dtype, cast),
    };
  });
  refuseTwice(tensors);
  return { tensors, stateTensors };
}

function dtypeOf(file: OpenedFile, { name, dtype, storedAs, problem }: ListedTensor): DType {
  if (dtype !== undefined) return dtype;
  const why = problem ?? `Cairn has no tensors of ${storedAs}`;
  throw new CairnError(
    "unsupported",
    `Cannot convert tensor ${JSON.stringify(name)} of "${file.label}": ${why}; leave it out with --exclude`,
    { details: { tensor: name, path: file.label } },
  );
}

async function* castPieces(
  pieces: AsyncIterable<Uint8Array>,
  from: DType,
  to: DType,
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    yield isCastable(from) && isCastable(to) ? castBytes(piece, from, to) : piece;
  }
}

function refuseTwice(tensors: readonly CheckedTensor[]): void {
  const seen = new Set<string>();
  for (const { name } of tensors) {
    if (seen.has(name)) {
      throw new TypeError(`Two tensors would be named ${JSON.stringify(name)}; change --rename`);
    }
    seen.add(name);
  }
}
