import { TERMS_GROUP, TRAINER_GROUP } from "../../tensor/group_names.ts";
import type { Run } from "../loop/run.ts";
import type { TrainingState } from "../loop/training_state.ts";

/**
 * Makes `run` what it was before its first step: the weights that its seed gives, and zeros. What was loaded or written
 * before that step is not known any more. Groups of the store that are not of the run stay as they are.
 */
export async function returnToFirst(run: Run): Promise<void> {
  const { store, model, seed } = run;
  const first: TrainingState = {
    ...run.state(null, 0),
    step: 0,
    epoch: 0,
    loader: { epoch: 0, position: 0 },
    changes: [],
    history: { loss: new Float32Array(), epochs: [] },
    walltime: 0,
    rateScales: [],
    callbacks: undefined,
  };
  const become = await run.toRestore(first, {
    losses: new Float32Array(),
    columns: {},
    updates: undefined,
    variants: {},
    differences: [],
  });
  const own = [...run.trainedGroups, TRAINER_GROUP, TERMS_GROUP];
  const groups = store.groups().filter(({ name }) => own.includes(name));
  const slabs = groups.flatMap(({ slabs }) => slabs).filter(({ byteLength }) => byteLength > 0);
  const encoder = store.gpu.device.createCommandEncoder({ label: "first state" });
  for (const { buffer, byteLength } of slabs) encoder.clearBuffer(buffer, 0, byteLength);
  store.gpu.submit(encoder, slabs.map(({ buffer }) => buffer));
  become();
  run.parent = undefined;
  run.resumedFrom = undefined;
  await model.initialize(seed);
}
