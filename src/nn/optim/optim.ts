/**
 * Optimisers and learning-rate schedules, each by itself: `optim` of the main entry has the same. A bundler keeps those
 * that a script uses, and no other.
 *
 * @example
 * ```ts
 * import { adamw, cosineDecay } from "@cairn-ml/cairn/optim";
 *
 * const optimizer = adamw({ learningRate: cosineDecay(1e-3, 10_000), weightDecay: 0.01 });
 * console.log(optimizer);
 * ```
 *
 * @module
 */
export { adadelta, type AdadeltaOptions } from "./adadelta.ts";
export { adagrad, type AdagradOptions } from "./adagrad.ts";
export { adam, type AdamOptions } from "./adam.ts";
export { adamax, type AdamaxOptions } from "./adamax.ts";
export { adamw, type AdamWOptions } from "./adamw.ts";
export { ema, type EmaOptions } from "./ema.ts";
export { fromOps, type FromOpsOptions, type OpsUpdate, type OpsUpdated } from "./from_ops.ts";
export { fromWgsl, type FromWgslOptions } from "./from_wgsl.ts";
export { lamb, type LambOptions } from "./lamb.ts";
export { lion, type LionOptions } from "./lion.ts";
export { muon, type MuonOptions } from "./muon.ts";
export { rmsprop, type RmspropOptions } from "./rmsprop.ts";
export { scheduleFreeAdamw, type ScheduleFreeAdamwOptions } from "./schedule_free_adamw.ts";
export { sgd, type SgdOptions } from "./sgd.ts";
export type {
  Optimizer,
  UpdateBindings,
  UpdatedElements,
  UpdatedParameter,
  UpdateRule,
} from "./optimizer.ts";
export type { UpdateTensors } from "./update_tensors.ts";
export type { OptimizerOptions, ParameterGroup } from "./optimizer_options.ts";
export { constantRate } from "./schedules/constant_rate.ts";
export { cosineDecay } from "./schedules/cosine_decay.ts";
export { cosineRestarts, type CosineRestartsOptions } from "./schedules/cosine_restarts.ts";
export { exponentialDecay } from "./schedules/exponential_decay.ts";
export { linearDecay } from "./schedules/linear_decay.ts";
export { linearWarmup } from "./schedules/linear_warmup.ts";
export { multiStepDecay } from "./schedules/multi_step_decay.ts";
export { oneCycle, type OneCycleOptions } from "./schedules/one_cycle.ts";
export { polynomialDecay, type PolynomialDecayOptions } from "./schedules/polynomial_decay.ts";
export type { Schedule } from "./schedules/schedule.ts";
export { stepDecay } from "./schedules/step_decay.ts";
export { warmupStableDecay, type WarmupStableDecayOptions } from "./schedules/warmup_stable_decay.ts";
