import * as z from "zod/mini";
import { CairnError } from "../../base/errors.ts";
import { firstProblem, safeParse } from "../../base/schema/safe_parse.ts";
import type { HostState, StateInput } from "../../checkpoint/capture/state_types.ts";
import { checkedSeed, type Seed } from "../../data/seed.ts";
import type { StepColumns } from "./history.ts";
import { LossRing } from "./loss_ring.ts";
import {
  type Allowance,
  differencesOf,
  type RecordedSettings,
  type RunDifference,
  type RunIdentity,
} from "./run_identity.ts";
import { settingsSchema, settingsTree } from "./training_state.ts";

/** What a `TrainStep` is beside its tensors. */
export interface TrainStepState {
  /** Steps done. */
  readonly step: number;
  readonly seed: Seed;
  readonly batchSize: number;
  readonly optimizer: string;
  readonly parts: RecordedSettings;
  /** Of the first steps; the tensor `trainer.loss_ring` has the losses of the last ones. */
  readonly losses: Float32Array;
  /** What else is kept of the same steps, by name. */
  readonly columns: StepColumns;
  /** Variants of kernels: others round differently. */
  readonly variants: Readonly<Record<string, string>>;
}

/** Version of {@link TrainStepState} in a checkpoint. */
const VERSION = 1;

let schema: z.ZodMiniType<TrainStepState> | undefined;

/** Built at the first use, because importing a module does no work here. */
function stateSchema(): z.ZodMiniType<TrainStepState> {
  const count = z.int().check(z.nonnegative());
  schema ??= z.object({
    trainStep: z.literal(VERSION),
    step: count,
    seed: z.union([count, z.bigint()]),
    batchSize: count,
    optimizer: z.string(),
    parts: settingsSchema(),
    losses: z.instanceof(Float32Array),
    columns: z.record(z.string(), z.instanceof(Float32Array)),
    variants: z.record(z.string(), z.string()),
  });
  return schema;
}

/** `state` as a state tree. */
export function stepStateTree({ parts, columns, variants, ...rest }: TrainStepState): StateInput {
  return {
    trainStep: VERSION,
    ...rest,
    parts: settingsTree(parts),
    columns: { ...columns },
    variants: { ...variants },
  };
}

/**
 * The state in a tree.
 *
 * @throws CairnError `state_mismatch` where no `TrainStep` wrote it, or one of something else than is allowed.
 */
export function stepStateOf(tree: HostState, now: TrainStepState, isAllowed: Allowance): TrainStepState {
  const parsed = safeParse(stateSchema(), tree);
  if (!parsed.success) {
    const { path, message } = firstProblem(parsed.error);
    const place = path === undefined ? "it" : `"${path}" of it`;
    throw new CairnError(
      "state_mismatch",
      `Cannot go on from this state: ${place} is not what a TrainStep writes (${message}); give the state of one`,
      { cause: parsed.error },
    );
  }
  const { data: state } = parsed;
  checkedSeed(state.seed);
  LossRing.requireRest(state.losses.length, state.step, "the state of a step");
  const differences = differencesOf(identityOf(state), identityOf(now)).filter((each) => !isAllowed(each));
  if (differences.length > 0) throw differentStep(differences);
  return state;
}

function identityOf({ seed, optimizer, batchSize, parts }: TrainStepState): RunIdentity {
  return { seed, optimizer, batchSize, batchesPerEpoch: 0, parts };
}

function differentStep(differences: readonly RunDifference[]): CairnError {
  const list = differences.map(({ what, found, expected }) => `${what} ${found}, this one ${expected}`);
  const parts = [...new Set(differences.map(({ part }) => JSON.stringify(part)))].join(", ");
  return new CairnError(
    "state_mismatch",
    `Cannot go on from this state: its step has ${
      list.join("; ")
    }. Give the same, or allow the change with ` +
      `TrainStep.compile(store, { …, allow: [${parts}] })`,
    { details: { value: differences } },
  );
}
