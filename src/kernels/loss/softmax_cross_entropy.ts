import {
  type Dispatch,
  gridFor,
  LINEAR_MAIN_WGSL,
  linearGrid,
  workgroupMainWgsl,
} from "../../gpu/dispatch.ts";
import { floatBitsWgsl } from "../float_bits.ts";
import { HIDE_WGSL, opaqueWgsl } from "../opaque.ts";
import {
  checkSizes,
  type CrossEntropyTarget,
  type Target,
  targetOf,
  targetWgsl,
} from "./cross_entropy_target.ts";

/** `row`: one invocation for each row. `workgroup`: a workgroup for each row, for many classes. */
export type CrossEntropyVariant = "row" | "workgroup";

/** What the loss binds. */
export interface CrossEntropyBindings<B> {
  /** `[rows, classes]`, f32. */
  readonly logits: B;
  /** `[rows]`, u32. */
  readonly labels: B;
  /** `[classes]`, f32: for how much each class counts. 1 each when left out. */
  readonly classWeights?: B | undefined;
  /** `[rows]`, f32, written. */
  readonly losses: B;
  /** `[rows, classes]`, f32, written: what the gradient needs. Left out where only the loss is wanted. */
  readonly probabilities?: B | undefined;
}

/** The sizes of a batch, and what it is measured against. */
export interface CrossEntropyOptions extends CrossEntropyTarget {
  readonly rows: number;
  readonly classes: number;
  /** Default: "workgroup" above 128 classes. It depends on the sizes only, because it decides the last bits. */
  readonly variant?: CrossEntropyVariant;
}

const INVOCATIONS = 128;

/**
 * Cross-entropy of each row of logits against its label: `loss = log Σ exp(x - max) - (x[label] - max)`, which
 * neither overflows nor loses small losses. With label smoothing `s` and weights `w` of `K` classes it is the sum of
 * those of all classes, that of the label times `(1 - s) w[label]` and each times `s / K w[class]`, as in PyTorch.
 * Rounding in the sum takes at most `min(classes, 8 + classes / 128)` times 2^-24 of it, which the logarithm makes an
 * absolute error of the loss; besides there is the error of the adapter's `exp` and `log`.
 *
 * A label that is no class gives a NaN loss (and a NaN gradient), and reads nothing beyond the row. So do a NaN and
 * an infinite logit, as in PyTorch.
 */
export function softmaxCrossEntropy<B>(
  bindings: CrossEntropyBindings<B>,
  options: CrossEntropyOptions,
): Dispatch<B> {
  const { rows, classes } = options;
  checkSizes("softmaxCrossEntropy", rows, classes);
  const variant = options.variant ?? (classes > 128 ? "workgroup" : "row");
  const { logits, labels, losses, probabilities, classWeights } = bindings;
  const target = targetOf(options, classWeights !== undefined);
  return {
    label: `softmaxCrossEntropy ${rows}x${classes} ${variant}`,
    code: `${declarations(target, probabilities !== undefined)}
${variant === "row" ? rowWgsl(target) : workgroupWgsl(target)}`,
    constants: { count: rows, classes, ...target.constants },
    bindings: [
      ...[logits, labels, losses],
      ...probabilities === undefined ? [] : [probabilities],
      ...classWeights === undefined ? [] : [classWeights],
    ],
    workgroups: variant === "row" ? linearGrid(rows) : gridFor(rows),
  };
}

function declarations(target: Target, keepsProbabilities: boolean): string {
  return `override count: u32; // rows
override classes: u32;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;
${keepsProbabilities ? "@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>;" : ""}
${targetWgsl(target, keepsProbabilities ? 4 : 3)}
${floatBitsWgsl("f32")}
${opaqueWgsl(1)}
fn keep_probability(element: u32, largest: f32, sum: f32) {
  ${keepsProbabilities ? "probabilities[element] = exp(logits[element] - largest) / sum;" : ""}
}

// With smoothing, spread is the sum of the logits below the largest, each times its weight.
fn loss_of(row: u32, largest: f32, sum: f32, spread: f32) -> f32 {
  let label = labels[row];
  let known = min(label, classes - 1u);
  let logit = logits[row * classes + known];
  return select(${lossWgsl(target)}, from_bits(0x7fc00000u), label >= classes);
}
`;
}

function lossWgsl({ isSmoothed, isWeighted }: Target): string {
  const plain = "log(opaque(sum)) - (logit - largest)";
  if (!isSmoothed) return isWeighted ? `weight_of(known) * (${plain})` : plain;
  const own = `own_part * weight_of(known) * (${plain})`;
  return `${own} + (spread_part * log(opaque(sum)) - class_part * spread)`;
}

const rowWgsl = ({ isSmoothed }: Target): string =>
  `${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
  let first = index * classes;
  // A NaN that max passes over still reaches the sum of the exponentials.
  var largest = logits[first];
  for (var class_index = 1u; class_index < classes; class_index++) {
    largest = max(largest, logits[first + class_index]);
  }
  // Of one class it is the logit: a compiler would take their difference for 0, and log(exp(x)) - x too, also where
  // they are NaN.
  largest = opaque(largest);
  var sum = 0.0;
  var spread = 0.0;
  for (var class_index = 0u; class_index < classes; class_index++) {
    let below_largest = logits[first + class_index] - largest;
    sum += exp(below_largest);
    ${isSmoothed ? "spread += weight_of(class_index) * below_largest;" : ""}
  }
  for (var class_index = 0u; class_index < classes; class_index++) {
    keep_probability(first + class_index, largest, sum);
  }
  losses[index] = loss_of(index, largest, sum, spread);
}
`;

const workgroupWgsl = ({ isSmoothed }: Target): string =>
  `var<workgroup> parts: array<f32, ${INVOCATIONS}>;
${isSmoothed ? `var<workgroup> spreads: array<f32, ${INVOCATIONS}>;` : ""}

${workgroupMainWgsl(INVOCATIONS, "row")}
  if (row >= count) {
    return;
  }
${HIDE_WGSL}
  let first = row * classes;
  // A NaN that max passes over still reaches the sum of the exponentials.
  var part = logits[first];
  for (var class_index = local; class_index < classes; class_index += ${INVOCATIONS}u) {
    part = max(part, logits[first + class_index]);
  }
  parts[local] = part;
  for (var half = ${INVOCATIONS / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) {
      parts[local] = max(parts[local], parts[local + half]);
    }
  }
  workgroupBarrier();
  let largest = opaque(parts[0]);
  workgroupBarrier();

  part = 0.0;
  var spread = 0.0;
  for (var class_index = local; class_index < classes; class_index += ${INVOCATIONS}u) {
    let below_largest = logits[first + class_index] - largest;
    part += exp(below_largest);
    ${isSmoothed ? "spread += weight_of(class_index) * below_largest;" : ""}
  }
  parts[local] = part;
  ${isSmoothed ? "spreads[local] = spread;" : ""}
  for (var half = ${INVOCATIONS / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) {
      parts[local] += parts[local + half];
      ${isSmoothed ? "spreads[local] += spreads[local + half];" : ""}
    }
  }
  workgroupBarrier();
  let sum = parts[0];

  for (var class_index = local; class_index < classes; class_index += ${INVOCATIONS}u) {
    keep_probability(first + class_index, largest, sum);
  }
  if (local == 0u) {
    losses[row] = loss_of(row, largest, sum, ${isSmoothed ? "spreads[0]" : "spread"});
  }
}
`;
