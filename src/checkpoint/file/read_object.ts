import type { OptionNames } from "../../base/options/options.ts";
import { byteSizeOf } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import type { StateValue } from "../../container/format/state_tree.ts";
import { TensorRef } from "../../container/format/tensor_ref.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { shapesEqual } from "../../tensor/shape.ts";
import { isHostTensorName, thawState } from "../capture/host_state.ts";
import type { HostState } from "../capture/state_types.ts";
import { keysOfPath, type StateTrees, valueAt } from "./object_path.ts";
import { READ_WITHIN_OPTIONS, readWithin, type ReadWithinOptions } from "./read_within.ts";
import { formatForm } from "../../tensor/tensor_form.ts";

/** Options of `Checkpoint.readObject`. */
export interface ReadObjectOptions extends ReadWithinOptions {
  /** For a tensor: where its bytes go, a host tensor of the same form or a typed array of the same width and length. */
  readonly into?: HostTensor | ArrayBufferView | undefined;
}

/** Every option of {@link ReadObjectOptions}. */
export const READ_OBJECT_OPTIONS: OptionNames<ReadObjectOptions> = { ...READ_WITHIN_OPTIONS, into: true };

/** What {@link readObject} reads from. */
export interface ObjectSource {
  readonly reader: ContainerReader;
  readonly trees: StateTrees;
  /** What it is, for messages: `checkpoint "step-100"`. */
  readonly from: string;
}

/** One object by its path, as `Checkpoint.readObject` says. */
export async function readObject(
  source: ObjectSource,
  path: string,
  options: ReadObjectOptions = {},
): Promise<HostState | ArrayBufferView> {
  const { reader } = source;
  const value = find(source, path);
  if (options.into === undefined) return await readState(reader, value, options);
  if (!(value instanceof TensorRef)) {
    throw new TypeError(`"${path}" is no tensor, so it cannot be read into memory; leave "into" out`);
  }
  requireFit(reader, path, value.name, options.into);
  const { into } = options;
  await readWithin(reader, value.name, into instanceof HostTensor ? into.bytes : into, options);
  return into;
}

/** A state tree with the tensors that are in it. */
export async function readState(
  reader: ContainerReader,
  value: StateValue,
  options: ReadWithinOptions = {},
): Promise<HostState> {
  return await thawState(value, async (name) => {
    const { dtype, shape, byteLength } = reader.tensor(name);
    const bytes = new Uint8Array(byteLength);
    await readWithin(reader, name, bytes, options);
    return { dtype, shape, bytes };
  });
}

function find({ reader, trees, from }: ObjectSource, path: string): StateValue {
  const [root = "", ...keys] = keysOfPath(path);
  if (root === "tensors") {
    const [name = ""] = keys;
    if (keys.length === 1 && !isHostTensorName(name) && reader.has(name)) return new TensorRef(name);
  } else if (root === "state" || (root === "clientState" && trees.clientState !== undefined)) {
    const found = valueAt(trees[root], keys);
    if (found !== undefined) return found[0];
  }
  throw new CairnError(
    "not_found",
    `There is no object "${path}" in ${from}; getManifest().entries has the paths, as in "tensors/model.0.weight"`,
    { details: { value: path } },
  );
}

function requireFit(
  reader: ContainerReader,
  path: string,
  name: string,
  into: HostTensor | ArrayBufferView,
): void {
  const { dtype, shape, byteLength } = reader.tensor(name);
  const elementSize = (into as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1;
  const fits = into instanceof HostTensor
    ? into.dtype === dtype && shapesEqual(into.shape, shape)
    : into.byteLength === byteLength && (elementSize === 1 || elementSize === byteSizeOf(dtype));
  if (fits) return;
  throw new TypeError(
    `Cannot read "${path}" into memory of another dtype or shape: it is ${
      formatForm({ name, dtype, shape })
    }`,
  );
}
