import { throwIfAborted } from "../base/abort.ts";
import type { ByteSink } from "../container/source.ts";
import type { CheckedTensor } from "./outgoing.ts";
import { quoted } from "./tensor_file.ts";

/** Writes all pieces of a tensor, which have to be as many bytes as its dtype and shape need. */
export async function writeTensor(
  sink: ByteSink,
  tensor: CheckedTensor,
  signal?: AbortSignal,
): Promise<void> {
  let written = 0;
  for await (const piece of tensor.pieces()) {
    throwIfAborted(signal);
    written += piece.byteLength;
    if (written > tensor.byteLength) break;
    await sink.write(piece);
  }
  if (written === tensor.byteLength) return;
  const found = written > tensor.byteLength ? "more" : String(written);
  throw new RangeError(
    `Tensor ${
      quoted(tensor.name)
    } (${tensor.dtype} [${tensor.shape}]) takes ${tensor.byteLength} bytes; its pieces are ${found}`,
  );
}
