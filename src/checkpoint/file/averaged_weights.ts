import type { TensorRecord } from "../../container/format/layout.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import { AVERAGE_SLOT, CONTROL_TENSOR, MODEL_GROUP, slotGroup } from "../../tensor/group_names.ts";

/** Where the control of a run has the number of its updates, in bytes. */
const UPDATES_OFFSET = 8;

/**
 * The averages of weights in a checkpoint, by the full names of the weights that they are taken in place of. Empty
 * where the optimiser kept none, and before the first update: until then they hold nothing.
 */
export async function averagedWeights(
  reader: ContainerReader,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, TensorRecord>> {
  const prefix = `${slotGroup(AVERAGE_SLOT)}.`;
  const averages = reader.tensors.filter(({ name }) => name.startsWith(prefix));
  if (averages.length === 0) return new Map();
  if (reader.has(CONTROL_TENSOR)) {
    const { buffer, byteOffset, byteLength } = await reader.read(CONTROL_TENSOR, { signal });
    if (new DataView(buffer, byteOffset, byteLength).getUint32(UPDATES_OFFSET, true) === 0) return new Map();
  }
  return new Map(averages.map((record) => [`${MODEL_GROUP}.${record.name.slice(prefix.length)}`, record]));
}
