import * as z from "zod/mini";
import { definedFields } from "../../base/defined_fields.ts";
import { CairnError } from "../../base/errors.ts";
import { firstProblem, safeParse } from "../../base/schema/safe_parse.ts";
import type { HostState, StateInput } from "../../checkpoint/capture/state_types.ts";
import type { AutoSaverState } from "./auto_saver_state.ts";
import type { SavedCallbacks } from "./callback_states.ts";
import type { EpochRecord, StepColumns } from "./history.ts";
import { ORDER_VERSIONS } from "../../data/permutation.ts";
import type { Description } from "../../base/description.ts";
import type { RateScale } from "./rate_scales.ts";
import type { RecordedSettings, RunChange } from "./run_identity.ts";
import type { Seed } from "../../data/seed.ts";

/** What a run is beside its tensors: a handful of integers, and its history. */
export interface TrainingState {
  /** Optimiser updates done. */
  readonly step: number;
  /** Whole epochs done. */
  readonly epoch: number;
  /** The batch that comes next, both numbers from 0. */
  readonly loader: { readonly epoch: number; readonly position: number };
  readonly batchesPerEpoch: number;
  readonly batchSize: number;
  /** Of the data; not in the first checkpoints. */
  readonly exampleCount?: number | undefined;
  readonly seed: Seed;
  /** Version of the data order, see `Permutation`. 1 where it is missing, as in the first checkpoints. */
  readonly orderVersion: number;
  readonly optimizer: string;
  /** What else it depends on; not in the first checkpoints. */
  readonly parts?: RecordedSettings | undefined;
  /** What of it was changed on purpose while it ran, oldest first. */
  readonly changes?: readonly RunChange[] | undefined;
  /**
   * Losses of the first steps (the tensor `trainer.loss_ring` has those of the last ones), and what every
   * epoch measured.
   */
  readonly history: {
    readonly loss: Float32Array;
    /** What else is kept of the same steps, by name; only where something is. */
    readonly columns?: StepColumns | undefined;
    readonly epochs: readonly EpochRecord[];
    /** What was measured within epochs; only where something was. */
    readonly validations?: readonly EpochRecord[] | undefined;
  };
  /** Seconds of training, all processes together. */
  readonly walltime: number;
  readonly autoSaver: AutoSaverState | null;
  /** By what learning rates were multiplied, from which step on; only where they were. */
  readonly rateScales?: readonly RateScale[] | undefined;
  /** What callbacks keep; only where there are some. */
  readonly callbacks?: SavedCallbacks | undefined;
}

/** Version of {@link TrainingState} in a checkpoint. */
const VERSION = 1;

let schema: z.ZodMiniType<TrainingState> | undefined;

/** Built at the first use, because importing a module does no work here. */
function stateSchema(): z.ZodMiniType<TrainingState> {
  const count = z.int().check(z.nonnegative());
  // Not z.number(), which has no NaN: a metric may be one.
  const measured = z.custom<number>((value) => typeof value === "number", "expected a number");
  const records = z.array(z.object({ epoch: count, step: count, metrics: z.record(z.string(), measured) }));
  schema ??= z.object({
    trainer: z.literal(VERSION),
    step: count,
    epoch: count,
    loader: z.object({ epoch: count, position: count }),
    batchesPerEpoch: count,
    batchSize: count,
    exampleCount: z.optional(count),
    seed: z.union([count, z.bigint()]),
    orderVersion: z._default(count, 1),
    optimizer: z.string(),
    parts: z.optional(settingsSchema()),
    changes: z.optional(z.array(
      z.object({ step: count, part: z.string(), what: z.string(), from: z.string(), to: z.string() }),
    )),
    history: z.object({
      loss: z.instanceof(Float32Array),
      columns: z.optional(z.record(z.string(), z.instanceof(Float32Array))),
      epochs: records,
      validations: z.optional(records),
    }),
    walltime: z.number().check(z.nonnegative()),
    // Checked where it is used: an invalid one does not prevent resuming.
    autoSaver: z.custom<AutoSaverState | null>((value) => typeof value === "object"),
    rateScales: z.optional(z.array(z.object({ step: count, scale: z.number().check(z.nonnegative()) }))),
    // What is in a state is the business of its callback.
    callbacks: z.optional(z.object({ told: count, states: z.record(z.string(), z.custom<HostState>()) })),
  });
  return schema;
}

/** What {@link settingsTree} gives. */
export function settingsSchema(): z.ZodMiniType<RecordedSettings> {
  const description = z.custom<Description>(
    (value) => typeof value === "object" && value !== null && "name" in value,
    "expected a name and options",
  );
  return z.object({
    optimizer: description,
    schedule: z.optional(description),
    loss: description,
    regularizers: z.optional(description),
    precision: z.string(),
    microBatchSize: z.optional(z.int().check(z.nonnegative())),
    shards: z.optional(z.int().check(z.nonnegative())),
    data: z.optional(description),
    numerics: z.number(),
  });
}

/** `state` as the state tree of a checkpoint. */
export function toStateTree(state: TrainingState): StateInput {
  const { history, loader, autoSaver, exampleCount, parts, changes = [], rateScales = [], ...rest } = state;
  const { validations = [], columns = {} } = history;
  return definedFields<StateFields>({
    trainer: VERSION,
    ...rest,
    exampleCount,
    parts: parts && settingsTree(parts),
    changes: changes.length === 0 ? undefined : changes.map((change) => ({ ...change })),
    loader: { ...loader },
    history: definedFields<StateFields>({
      loss: history.loss,
      columns: Object.keys(columns).length === 0 ? undefined : { ...columns },
      epochs: history.epochs.map((record) => ({ ...record })),
      validations: validations.length === 0 ? undefined : validations.map((record) => ({ ...record })),
    }),
    autoSaver: autoSaver === null ? null : { ...autoSaver },
    rateScales: rateScales.length === 0 ? undefined : rateScales.map((each) => ({ ...each })),
  });
}

type StateFields = { [key: string]: StateInput };

/** Settings as a state tree, which has no `undefined`. */
export function settingsTree(settings: RecordedSettings): StateFields {
  return definedFields<StateFields>({ ...settings });
}

/**
 * The state in the tree of a checkpoint. Throws `state_mismatch` with the place when a trainer did not write
 * it.
 */
export function fromStateTree(tree: HostState, checkpoint: string): TrainingState {
  const parsed = safeParse(stateSchema(), tree);
  if (parsed.success) return requireKnownOrder(parsed.data, checkpoint);
  const { path, message } = firstProblem(parsed.error);
  const where = path === undefined ? "its state" : `"${path}" of its state`;
  throw new CairnError(
    "state_mismatch",
    `Cannot resume from "${checkpoint}": ${where} is not what a trainer writes (${message}); ` +
      `take its weights alone with warmStart(), or give another checkpoint`,
    { details: { tag: checkpoint }, cause: parsed.error },
  );
}

/** Orders of an unknown version cannot be continued; others are kept, see `Run.restore`. */
function requireKnownOrder(state: TrainingState, checkpoint: string): TrainingState {
  const { orderVersion } = state;
  if (ORDER_VERSIONS.includes(orderVersion)) return state;
  throw new CairnError(
    "state_mismatch",
    `Cannot resume from "${checkpoint}": its data is in an order of version ${orderVersion}, and this Cairn knows ` +
      `${
        ORDER_VERSIONS.join(" and ")
      }; use the Cairn that wrote it, or take its weights alone with warmStart()`,
    { details: { tag: checkpoint, value: orderVersion } },
  );
}
