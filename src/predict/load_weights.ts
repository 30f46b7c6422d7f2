import { CairnError } from "../base/errors.ts";
import { type NamePattern, NameSelection, renameBy, type RenameRule } from "../base/name_pattern.ts";
import { throwIfAborted } from "../base/abort.ts";
import type { Work } from "../base/work.ts";
import { MODEL_GROUP } from "../tensor/group_names.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import type { Weight } from "./weights_file.ts";

/** What may be under way to the GPU at once: a wait for each weight would cost more than the weight. */
const PACE_BYTES = 64 * 1024 * 1024;

/** Which weights of a file are taken, under which names. */
export interface WeightNames {
  /** Weights to leave out, by their names in the model. */
  readonly exclude?: readonly NamePattern[] | undefined;
  /** How the file's names become those of the model: by the first rule that matches. */
  readonly rename?: readonly RenameRule[] | undefined;
}

/**
 * Gives the weights a place in the group `model` of a store and reads them there, one after the other.
 *
 * @throws TypeError where two get the same name; CairnError `limit_exceeded`, `out_of_memory`, or what is wrong with
 * the file. Then the store is to be closed.
 */
export async function loadWeights(
  store: TensorStore,
  all: readonly Weight[],
  { exclude, rename = [], signal, onProgress }: WeightNames & Work,
): Promise<void> {
  const selection = new NameSelection(undefined, exclude);
  const weights = new Map<string, Weight>();
  const renamed = new Map<string, string>();
  for (const weight of all) {
    const name = renameBy(rename, weight.name);
    if (!selection.has(name)) continue;
    const other = weights.get(name);
    if (other !== undefined) {
      throw new TypeError(`"${other.name}" and "${weight.name}" would both be "${name}"; see rename`);
    }
    weights.set(name, weight);
    renamed.set(weight.name, name);
  }
  const [unmatched] = selection.unmatched();
  if (unmatched !== undefined) throw new TypeError(`No weight of the file matches ${unmatched}`);
  const specs = [...weights].map(([name, { dtype, shape, aliasOf }]) => {
    const target = aliasOf === undefined ? undefined : renamed.get(aliasOf);
    return { name, dtype, shape, aliasOf: target };
  });
  await store.gpu.validated("memory for weights", () => store.define(MODEL_GROUP, specs));
  let done = 0;
  let underWay = 0;
  for (const { name, dtype, shape, aliasOf } of specs) {
    throwIfAborted(signal);
    const bytes = aliasOf === undefined ? await weights.get(name)?.read(signal) : undefined;
    if (bytes !== undefined) {
      store.write({ [`${MODEL_GROUP}.${name}`]: HostTensor.fromBytes(bytes, dtype, shape) });
      underWay += bytes.byteLength;
    }
    if (underWay >= PACE_BYTES) {
      await store.gpu.idle();
      underWay = 0;
    }
    onProgress?.({ done: ++done, total: specs.length });
  }
  await store.gpu.idle();
}

/** @throws CairnError `state_mismatch` that says which weights the model lacks, and which it does not ask for. */
export function mismatch(path: string, problems: readonly string[]): CairnError {
  const shown = problems.slice(0, 5).join("; ");
  const rest = problems.length > 5 ? `; and ${problems.length - 5} more` : "";
  return new CairnError(
    "state_mismatch",
    `The weights of "${path}" are not those of the model: ${shown}${rest}. ` +
      "rename changes the file's names, exclude leaves weights out",
    { details: { path } },
  );
}
