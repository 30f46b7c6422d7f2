import type { OptionNames } from "../../base/options/options.ts";

/** Options of `weightedSampler` and `balancedSampler`. */
export interface SamplerOptions {
  /** How many examples are drawn in an epoch, at least 1. Default: as many as there are. */
  readonly drawCount?: number | undefined;
}

/** Every option of {@link SamplerOptions}. */
export const SAMPLER_OPTIONS: OptionNames<SamplerOptions> = { drawCount: true };

/** @throws RangeError for a sampler of nothing, or that draws nothing. */
export function requireDraws(sampler: string, exampleCount: number, drawCount: number): void {
  if (exampleCount < 1) throw new RangeError(`${sampler} draws from one example or more, found none`);
  if (Number.isSafeInteger(drawCount) && drawCount >= 1) return;
  throw new RangeError(`drawCount of ${sampler} is an integer from 1, found ${drawCount}`);
}
