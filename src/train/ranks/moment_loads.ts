import type { ProcessGroup } from "../../checkpoint/ranks/process_group.ts";
import { restore, type RestoreSource } from "../../checkpoint/restore/restore.ts";
import { TensorStore } from "../../tensor/tensor_store.ts";
import type { Run } from "../loop/run.ts";
import { countPieces, MomentPieces } from "./kept_moments.ts";

const NOTHING = new Uint8Array();

/**
 * On rank 0, which has taken its own tensors from a checkpoint: gives the other ranks what they keep of the optimiser,
 * from the file by way of a store as large as what one of them keeps.
 *
 * @param source The checkpoint; none where the optimiser begins anew, with zeros.
 */
export async function giveMoments(
  run: Run,
  group: ProcessGroup,
  source: RestoreSource | undefined,
): Promise<void> {
  try {
    for (let rank = 1; rank < group.size; rank++) await giveTo(rank, run, group, source);
  } catch (error) {
    // Some have what they keep by now, and others what they had.
    await group.abort(error);
    throw error;
  }
}

async function giveTo(
  rank: number,
  run: Run,
  group: ProcessGroup,
  source: RestoreSource | undefined,
): Promise<void> {
  const { model, slots, store: { gpu, slabBytes }, steps: { rules } } = run;
  const store = TensorStore.on(gpu, { slabBytes });
  try {
    rules.slots.forEach((slot, index) =>
      store.define(slots[index] ?? slot, rules.slotSpecs(model.group, slot, rank))
    );
    if (source !== undefined) await restore(source, { store }, { groups: slots, strict: false });
    const pieces = new MomentPieces(store, slots);
    for (let index = 0; index < pieces.count; index++) await group.broadcast(0, await pieces.read(index));
  } finally {
    await store.close();
  }
}

/** On rank 0, after whatever it may have given: the others go on. */
export async function endGiving(group: ProcessGroup): Promise<void> {
  await group.broadcast(0, NOTHING);
}

/** On the other ranks: takes what rank 0 gives, until it says that this is all. */
export async function receiveMoments(run: Run, group: ProcessGroup): Promise<void> {
  const own = new MomentPieces(run.store, run.slots);
  for (let rank = 1; rank < group.size; rank++) {
    const count = countPieces(run.steps.rules.momentsOf(run.model.group, rank));
    for (let index = 0; index < count; index++) {
      const bytes = await group.broadcast(0);
      if (bytes.byteLength === 0) return;
      if (rank === group.rank) await own.write(index, bytes);
    }
  }
  await group.broadcast(0);
}
