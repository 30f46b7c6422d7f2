export { adamw, type AdamWOptions } from "./adamw.ts";
export { sgd, type SgdOptions } from "./sgd.ts";
export type { LearningRateOption, Optimizer, UpdateBindings } from "./optimizer.ts";
export { constantRate, cosineDecay, linearWarmup, type Schedule, stepDecay } from "./schedules.ts";
