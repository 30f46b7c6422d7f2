import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { Store, Update, UpdateBinding } from "../../graph/program.ts";
import type { Value } from "../../graph/value.ts";
import { copy } from "../../kernels/elementwise/copy.ts";
import { gatedCopy } from "../../kernels/optimizer/gated_copy.ts";
import type { Model } from "../../nn/model.ts";
import { type StoredTensor, TensorGroup } from "../../tensor/tensor_group.ts";
import { nameOf } from "./update_ranges.ts";

/** Memory for all buffers of a model, laid out as they are there. It belongs to the caller. */
export function allocateBuffers({ store, buffers }: Model, label: string): TensorGroup {
  const specs = buffers.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  return TensorGroup.allocate(store.gpu, label, specs, store.slabBytes);
}

/** Leaves what the buffers become in `next`, since whether they may is known only at the end of the step. */
export function bufferStores(becoming: ReadonlyMap<string, Value>, next: TensorGroup): Store[] {
  return next.tensors.flatMap((tensor) => {
    const value = becoming.get(nameOf(tensor));
    return value === undefined ? [] : [{ value, into: tensor.range }];
  });
}

/** The tensors of `next` that there is a new value for. */
export function updatedBuffers(becoming: ReadonlyMap<string, Value>, next: TensorGroup): StoredTensor[] {
  return next.tensors.filter((tensor) => becoming.has(nameOf(tensor)));
}

/** Copies `tensors` to where `placeOf` says that those of the same name are, whatever the verdict will be. */
export function copyBuffers(
  tensors: readonly StoredTensor[],
  placeOf: (name: string) => StoredTensor,
): Update[] {
  return pairsOf(tensors, placeOf).map(({ from, into }) =>
    copy<UpdateBinding>({ input: from, out: into }, { count: from.size / 4 })
  );
}

/** Copies `tensors` into the model where the verdict lets the step count. */
export function commitBuffers(
  tensors: readonly StoredTensor[],
  model: Model,
  verdict: BufferRange,
): Update[] {
  return pairsOf(tensors, (name) => model.tensorOf(name)).map(({ from, into }) =>
    gatedCopy<UpdateBinding>({ from, into, verdict }, { count: from.size / 4 })
  );
}

interface Pair {
  readonly from: BufferRange;
  readonly into: BufferRange;
}

/** As few pairs of ranges as there are gaps on either side. */
function pairsOf(tensors: readonly StoredTensor[], placeOf: (name: string) => StoredTensor): Pair[] {
  const pairs: Pair[] = [];
  for (const tensor of tensors) {
    if (tensor.byteLength === 0) continue;
    const from = padded(tensor);
    const into = padded(placeOf(nameOf(tensor)));
    const last = pairs.at(-1);
    if (last === undefined || !isBehind(last.from, from) || !isBehind(last.into, into)) {
      pairs.push({ from, into });
      continue;
    }
    const longer = (range: BufferRange): BufferRange => ({ ...range, size: range.size + from.size });
    pairs[pairs.length - 1] = { from: longer(last.from), into: longer(last.into) };
  }
  return pairs;
}

function isBehind(before: BufferRange, after: BufferRange): boolean {
  return before.buffer === after.buffer && before.offset + before.size === after.offset;
}

/** A tensor with the padding behind it. */
function padded({ range, offset, byteLength }: StoredTensor): BufferRange {
  return { buffer: range.buffer, offset, size: alignUp(byteLength, TENSOR_ALIGNMENT) };
}
