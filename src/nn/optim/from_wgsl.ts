import { crc32 } from "../../base/crc32/crc32.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { UpdateBinding } from "../../graph/program.ts";
import { updateKernel } from "../../kernels/optimizer/update_kernel.ts";
import { groupedOptimizer } from "./grouped_optimizer.ts";
import { requireDecays, requireSlots, slotOf } from "./hyperparameters.ts";
import type { Optimizer } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";

/** Options of {@link fromWgsl}. The rate has no default; the decay is 0 unless given. */
export interface FromWgslOptions extends OptimizerOptions {
  /** Stands in messages and in checkpoints. */
  readonly name: string;
  /** Names of what is kept for each parameter. Each is an array of the kernel, and begins as zeros. */
  readonly slots?: readonly string[] | undefined;
  /** Of running means, at most 4, for `verdict.corrections`. */
  readonly decays?: readonly number[] | undefined;
  /** Numbers that the kernel has under these names. */
  readonly constants?: Readonly<Record<string, number>> | undefined;
  /**
   * WGSL statements that update element `index` of `parameter` and of the slots, arrays of `Elements`: f32, or four of
   * them. They have `gradient` (clipped as the run says), `learning_rate`, `weight_decay`, and of `verdict` the number
   * of `updates`, 1 in the first, and `corrections`, `1 - decay^updates` for each decay.
   */
  readonly wgsl: string;
}

/** Every option of {@link FromWgslOptions}. */
export const FROM_WGSL_OPTIONS: OptionNames<FromWgslOptions> = {
  ...OPTIMIZER_OPTIONS,
  name: true,
  slots: true,
  decays: true,
  constants: true,
  wgsl: true,
};

/**
 * An optimiser of WGSL, one dispatch for each range of a slab. It never runs at a step that is not finite. Errors of
 * the shader are thrown when the step is compiled.
 *
 * @example
 * ```ts
 * const momentum = optim.fromWgsl({
 *   name: "momentum",
 *   learningRate: 0.1,
 *   slots: ["velocity"],
 *   constants: { mu: 0.9 },
 *   wgsl: `
 *     let next = velocity[index] * mu + gradient;
 *     velocity[index] = next;
 *     parameter[index] -= learning_rate * next;
 *   `,
 * });
 * ```
 *
 * @throws TypeError or RangeError for invalid options.
 */
export function fromWgsl(options: FromWgslOptions): Optimizer {
  const { name, slots = [], decays = [], constants = {}, wgsl } = checkOptions(
    "fromWgsl()",
    options,
    FROM_WGSL_OPTIONS,
    '{ name: "mine", learningRate: 0.1, wgsl }',
  );
  if (typeof wgsl !== "string") throw new TypeError(`${name}: wgsl is a text, found ${typeof wgsl}`);
  requireSlots(name, slots);
  requireDecays(name, Object.fromEntries(decays.map((decay, index) => [`decays[${index}]`, decay])));
  return groupedOptimizer({
    name,
    options,
    defaults: { weightDecay: 0 },
    slots,
    decays,
    described: {
      ...constants,
      wgsl: `checksum ${crc32(new TextEncoder().encode(wgsl)).toString(16)}`,
      decays: [...decays],
      slots: slots.join(", "),
    },
    update: ({ parameter, gradient, scalars, verdict, slots: given }, { count }, { rate, weightDecay }) => [
      updateKernel<UpdateBinding>({
        name,
        sizes: { count, rate },
        verdict,
        scalars,
        gradient,
        written: {
          parameter,
          ...Object.fromEntries(slots.map((slot, index) => [slot, slotOf(given, index, slot)])),
        },
        constants: { ...constants, weight_decay: weightDecay },
        body: wgsl,
      }),
    ],
  });
}
