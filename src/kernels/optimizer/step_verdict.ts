import { biasCorrectionsWgsl } from "./bias_corrections.ts";
import type { Dispatch } from "../../gpu/dispatch.ts";
import { PARTIAL_WGSL } from "./gradient_check.ts";
import { LOSS_SCALE_WGSL } from "./loss_scale.ts";
import { NAN_BITS } from "../float_bits.ts";
import { requireSizes } from "../sizes.ts";
import { STEP_SCALARS_WGSL } from "../step_scalars.ts";

/** What a step does whose loss or gradients are not finite: everything stops there, or its batch is left out. */
export type NonFinitePolicy = "stop" | "skip";

/** The number of a policy in the step's scalars. */
export const POLICY_NUMBERS: Readonly<Record<NonFinitePolicy, number>> = { stop: 0, skip: 1 };

/** What of a run is on the GPU besides its tensors: `u32` words in this order. It is saved with the run. */
export interface StepControl {
  /** 1 after a step that was not finite under "stop": nothing is updated until it is 0 again. */
  readonly stopped: number;
  /** The number of that step, from 0. */
  readonly stoppedStep: number;
  /** Updates of the optimiser that took place. */
  readonly updates: number;
  /** Batches that were left out under "skip". */
  readonly skipped: number;
}

/** Words of a {@link StepControl}. */
export const STEP_CONTROL_WORDS = 4;

/** The WGSL type of a {@link StepControl}. */
export const STEP_CONTROL_WGSL = `struct StepControl {
  stopped: u32,
  stopped_step: u32,
  updates: u32,
  skipped: u32,
}
`;

/** Bytes of what {@link stepVerdict} leaves for the updates of the step. */
export const STEP_VERDICT_BYTES = 48;

/** The same in words of 4 bytes. */
export const STEP_VERDICT_WORDS: number = STEP_VERDICT_BYTES / 4;

/** Where numbers of it begin, in words. */
export const VERDICT_WORD = { updates: 1, corrections: 4, gradientScale: 8, gradientLimit: 9 } as const;

/**
 * The WGSL type of it. Every kernel of an optimiser binds it as a uniform, and returns at once where `applies` is 0.
 */
export const STEP_VERDICT_WGSL = `struct StepVerdict {
  applies: u32,
  /** Updates of the optimiser, this one included. */
  updates: u32,
  /** Bits of the largest magnitude of the loss and the gradients. */
  largest: u32,
  /** Of all gradients; infinite where they are large. */
  sum_of_squares: f32,
  /** 1 - decay^updates for each of the optimiser's decays. */
  corrections: vec4<f32>,
  /** What gradients are multiplied by: less than 1 where their norm is clipped. */
  gradient_scale: f32,
  /** The largest magnitude that an element has afterwards; 0 where there is no limit. */
  gradient_limit: f32,
}
`;

/** Stands at the beginning of every kernel of an optimiser, which binds the verdict as `verdict`. */
export const GATE_WGSL = `  if (verdict.applies == 0u) {
    return;
  }`;

/** A verdict by which a step counts: for running the kernel of an optimiser on its own. */
export function encodeStepVerdict(
  { updates = 1, corrections = [], gradientScale = 1, gradientLimit = 0 }: {
    readonly updates?: number;
    readonly corrections?: readonly number[];
    readonly gradientScale?: number;
    readonly gradientLimit?: number;
  } = {},
): Uint8Array {
  const view = new DataView(new ArrayBuffer(STEP_VERDICT_BYTES));
  view.setUint32(0, 1, true);
  view.setUint32(4 * VERDICT_WORD.updates, updates, true);
  for (let index = 0; index < 4; index++) {
    view.setFloat32(4 * (VERDICT_WORD.corrections + index), corrections[index] ?? 1, true);
  }
  view.setFloat32(4 * VERDICT_WORD.gradientScale, gradientScale, true);
  view.setFloat32(4 * VERDICT_WORD.gradientLimit, gradientLimit, true);
  return new Uint8Array(view.buffer);
}

/** What the verdict binds. */
export interface StepVerdictBindings<B> {
  /** Of all gradients, as {@link gradientCheck} leaves them: read. */
  readonly partials: B;
  /** The mean loss of the step, f32: read. */
  readonly loss: B;
  readonly scalars: B;
  /** {@link StepControl}: read and written. */
  readonly control: B;
  /** f32, the losses of the last steps: written at the step's number modulo their count. */
  readonly losses: B;
  /** {@link STEP_VERDICT_BYTES}, written. */
  readonly verdict: B;
  /**
   * f32, the norms of all gradients of the last steps: written as the losses are. Not bound unless they are asked for.
   */
  readonly norms?: B | undefined;
  /** `LossScale`, read and written. Not bound unless the loss is scaled. */
  readonly lossScale?: B | undefined;
}

/** Sizes of {@link stepVerdict}. */
export interface StepVerdictOptions {
  readonly partialCount: number;
  /** How many losses are kept. */
  readonly lossCount: number;
  /** The optimiser's decays, for `corrections`. */
  readonly decays: readonly number[];
  /** What the gradients' norm is scaled down to where it is larger. Infinity or nothing: never. */
  readonly clipNorm?: number | undefined;
  /** The largest magnitude of an element afterwards. Nothing: any. */
  readonly clipValue?: number | undefined;
}

/** Added to a norm that is divided by, as PyTorch's `clip_grad_norm_` does. */
const NORM_EPSILON = 1e-6;

/**
 * Says whether a step counts: it does when its loss and every gradient are finite and nothing stopped the run before. A
 * single invocation, since all it adds up is some hundred partial results.
 *
 * A step that counts leaves its loss, and is one more update. Under "skip" the loss of one that does not is NaN,
 * whatever it was. Under "stop" such a step changes `stopped` and `stoppedStep` and nothing else, and a step after it
 * nothing at all. Where the loss is scaled and finite, and gradients are not, the scale is halved instead, as long as
 * it is above 1: the step keeps its loss, and changes nothing else.
 */
export function stepVerdict<B>(bindings: StepVerdictBindings<B>, options: StepVerdictOptions): Dispatch<B> {
  const { partialCount, lossCount, decays, clipNorm = Infinity, clipValue = 0 } = options;
  requireSizes("stepVerdict", { partialCount, lossCount });
  const { partials, loss, scalars, control, losses, verdict, norms, lossScale } = bindings;
  const isScaled = clipNorm < Infinity;
  return {
    label: `stepVerdict ${partialCount}`,
    code: stepVerdictWgsl(decays, isScaled, norms !== undefined, lossScale !== undefined),
    constants: {
      partial_count: partialCount,
      loss_count: lossCount,
      clip_value: clipValue,
      ...isScaled ? { clip_norm: clipNorm } : {},
    },
    bindings: [
      ...[partials, loss, scalars, control, losses, verdict],
      ...norms === undefined ? [] : [norms],
      ...lossScale === undefined ? [] : [lossScale],
    ],
    workgroups: [1, 1, 1],
  };
}

function stepVerdictWgsl(
  decays: readonly number[],
  isScaled: boolean,
  hasNorms: boolean,
  hasLossScale: boolean,
): string {
  const record = (number: string): string =>
    hasNorms ? `\n    norms[scalars.step % loss_count] = ${number};` : "";
  return `override partial_count: u32;
override loss_count: u32;
override clip_value: f32;
${isScaled ? "override clip_norm: f32;\n" : ""}
${STEP_SCALARS_WGSL}
${STEP_CONTROL_WGSL}
${STEP_VERDICT_WGSL}
${PARTIAL_WGSL}
@group(0) @binding(0) var<storage, read> partials: array<Partial>;
@group(0) @binding(1) var<storage, read> loss: u32;
@group(0) @binding(2) var<uniform> scalars: StepScalars;
@group(0) @binding(3) var<storage, read_write> control: StepControl;
@group(0) @binding(4) var<storage, read_write> losses: array<u32>;
@group(0) @binding(5) var<storage, read_write> verdict: StepVerdict;
${hasNorms ? "@group(0) @binding(6) var<storage, read_write> norms: array<u32>;\n" : ""}${
    hasLossScale ? lossScaleWgsl(hasNorms ? 7 : 6) : ""
  }${biasCorrectionsWgsl(decays)}
@compute @workgroup_size(1)
fn main() {
  var largest = loss & 0x7fffffffu;
  var sum_of_squares = 0.0;
  for (var index = 0u; index < partial_count; index++) {
    largest = max(largest, partials[index].largest);
    sum_of_squares += partials[index].sum_of_squares;
  }
  let is_finite = largest < 0x7f800000u;
  let is_stopped = control.stopped != 0u;
  let applies = is_finite && !is_stopped;
  let updates = control.updates + select(0u, 1u, applies);
  verdict.applies = select(0u, 1u, applies);
  verdict.updates = updates;
  verdict.largest = largest;
  verdict.sum_of_squares = sum_of_squares;
  verdict.corrections = bias_corrections(max(updates, 1u));
  verdict.gradient_scale = ${
    isScaled ? `min(1.0, clip_norm / (sqrt(sum_of_squares) + ${NORM_EPSILON}))` : "1.0"
  };
  verdict.gradient_limit = clip_value;
  if (is_stopped) {
    return;
  }
  control.updates = updates;
${hasLossScale ? RESCALE_WGSL : ""}  if (${hasLossScale ? "is_finite || is_overflow" : "is_finite"}) {
    losses[scalars.step % loss_count] = loss;${record("bitcast<u32>(sqrt(sum_of_squares))")}
  } else if (scalars.policy == ${POLICY_NUMBERS.skip}u) {
    losses[scalars.step % loss_count] = ${NAN_BITS}u;${record(`${NAN_BITS}u`)}
    control.skipped += 1u;
  } else {
    control.stopped = 1u;
    control.stopped_step = scalars.step;
  }
}
`;
}

function lossScaleWgsl(binding: number): string {
  return `@group(0) @binding(${binding}) var<storage, read_write> loss_scale: LossScale;
${LOSS_SCALE_WGSL}`;
}

/** A scale that was too large is no reason to stop, and its loss is one like any other. */
const RESCALE_WGSL =
  `  let is_overflow = !is_finite && (loss & 0x7fffffffu) < 0x7f800000u && loss_scale.scale != 1.0;
  if (is_finite || is_overflow) {
    loss_scale = rescaled(loss_scale, is_finite);
  }
`;

/** The words of a control, from its bytes. */
export function decodeStepControl(bytes: Uint8Array): StepControl {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 4 * STEP_CONTROL_WORDS);
  const word = (index: number): number => view.getUint32(4 * index, true);
  return { stopped: word(0), stoppedStep: word(1), updates: word(2), skipped: word(3) };
}

/** The words of `control`. */
export function encodeStepControl({ stopped, stoppedStep, updates, skipped }: StepControl): Uint32Array {
  return Uint32Array.of(stopped, stoppedStep, updates, skipped);
}
