import type { TensorRecord } from "../../container/format/layout.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import { AVERAGE_SLOT, CONTROL_TENSOR, groupOf, MODEL_GROUP, slotGroup } from "../../tensor/group_names.ts";

/** Where the control of a run has the number of its updates, in bytes. */
const UPDATES_OFFSET = 8;

/**
 * The averages of weights in a checkpoint, by the full names of the weights that they are taken in place of. Empty
 * where the optimiser kept none, and before the first update: until then they hold nothing.
 *
 * @param owner The name of the model, among several in the checkpoint.
 */
export async function averagedWeights(
  reader: ContainerReader,
  signal?: AbortSignal,
  owner?: string,
): Promise<ReadonlyMap<string, TensorRecord>> {
  const prefix = `${groupOf(owner, slotGroup(AVERAGE_SLOT))}.`;
  const control = groupOf(owner, CONTROL_TENSOR);
  const averages = reader.tensors.filter(({ name }) => name.startsWith(prefix));
  if (averages.length === 0) return new Map();
  if (reader.has(control)) {
    const { buffer, byteOffset, byteLength } = await reader.read(control, { signal });
    if (new DataView(buffer, byteOffset, byteLength).getUint32(UPDATES_OFFSET, true) === 0) return new Map();
  }
  return new Map(
    averages.map((record) => [`${groupOf(owner, MODEL_GROUP)}.${record.name.slice(prefix.length)}`, record]),
  );
}
