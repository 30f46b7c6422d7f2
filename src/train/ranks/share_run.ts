import { Scratch } from "../../base/bytes/scratch.ts";
import type { HostState } from "../../checkpoint/capture/state_types.ts";
import type { ProcessGroup } from "../../checkpoint/ranks/process_group.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import { decodeState, encodeState } from "../../parallel/state_message.ts";
import { PIECE_BYTES } from "../../parallel/sum_memory.ts";
import { slabRanges } from "../../tensor/slab_ranges.ts";
import type { StepColumns } from "../loop/history.ts";
import type { Run } from "../loop/run.ts";
import { fromStateTree, toStateTree } from "../loop/training_state.ts";

/** What a run is beside its tensors, as it is sent. */
interface SentRun {
  readonly state: HostState;
  readonly losses: Float32Array;
  readonly columns: StepColumns;
  readonly variants: Readonly<Record<string, string>>;
  readonly parent?: string | undefined;
  readonly resumedFrom?: string | undefined;
}

/**
 * Makes the run of every rank what that of rank 0 is: tensors, step, history, rates and the states of callbacks. Every
 * rank calls it, for runs that are alike, while nothing else changes them.
 */
export async function shareRun(run: Run, group: ProcessGroup): Promise<void> {
  await run.initialize();
  if (group.rank === 0) await send(run, group);
  else await receive(run, group);
}

async function send(run: Run, group: ProcessGroup): Promise<void> {
  await run.settle();
  const { step, history, parent, resumedFrom, store } = run;
  const sent = {
    state: toStateTree(run.state(null, 0)),
    losses: history.lossesBetween(0, step),
    columns: { ...history.columnsBefore(step) },
    variants: Object.fromEntries(store.variants),
    parent,
    resumedFrom,
  };
  await group.broadcast(0, await encodeState(sent));
  const scratch = new Scratch();
  for (const range of piecesOf(run)) {
    const bytes = scratch.take(range.size);
    await store.gpu.readInto([range], bytes);
    await group.broadcast(0, bytes);
  }
}

async function receive(run: Run, group: ProcessGroup): Promise<void> {
  const sent = await decodeState(await group.broadcast(0)) as SentRun;
  const { losses, columns, variants, parent, resumedFrom } = sent;
  const state = fromStateTree(sent.state, "the run of rank 0");
  const becomeThat = await run.toRestore(state, {
    losses,
    columns,
    updates: undefined,
    variants,
    differences: [],
  });
  for (const { buffer, offset } of piecesOf(run)) {
    run.store.gpu.write(buffer, offset, await group.broadcast(0));
  }
  becomeThat();
  run.parent = parent;
  run.resumedFrom = resumedFrom;
}

/** All memory of the store that ranks have alike, piece by piece. */
function piecesOf({ store, slots, steps: { rules } }: Run): BufferRange[] {
  const shared = store.groups().filter(({ name }) => rules.owners === undefined || !slots.includes(name));
  return shared.flatMap(({ tensors }) => slabRanges(tensors, PIECE_BYTES))
    .map(({ buffer, offset, byteLength }) => ({ buffer, offset, size: byteLength }));
}
