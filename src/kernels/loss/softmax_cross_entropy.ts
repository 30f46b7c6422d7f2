import {
  type Dispatch,
  gridFor,
  LINEAR_MAIN_WGSL,
  linearGrid,
  workgroupMainWgsl,
} from "../../gpu/dispatch.ts";
import { floatBitsWgsl } from "../float_bits.ts";
import { HIDE_WGSL, opaqueWgsl } from "../opaque.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/** `row`: one invocation for each row. `workgroup`: a workgroup for each row, for many classes. */
export type CrossEntropyVariant = "row" | "workgroup";

/** What the loss binds. */
export interface CrossEntropyBindings<B> {
  /** `[rows, classes]`, f32. */
  readonly logits: B;
  /** `[rows]`, u32. */
  readonly labels: B;
  /** `[rows]`, f32, written. */
  readonly losses: B;
  /** `[rows, classes]`, f32, written: what the gradient needs. Left out where only the loss is wanted. */
  readonly probabilities?: B | undefined;
}

/** The sizes of a batch. */
export interface CrossEntropyOptions {
  readonly rows: number;
  readonly classes: number;
  /** Default: "workgroup" above 128 classes. It depends on the sizes only, because it decides the last bits. */
  readonly variant?: CrossEntropyVariant;
}

const INVOCATIONS = 128;

/**
 * Cross-entropy of each row of logits against its label: `loss = log Σ exp(x - max) - (x[label] - max)`, which
 * neither overflows nor loses small losses. Rounding in the sum takes at most `min(classes, 8 + classes / 128)` times
 * 2^-24 of it, which the logarithm makes an absolute error of the loss; besides there is the error of the adapter's
 * `exp` and `log`.
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
  const { logits, labels, losses, probabilities } = bindings;
  return {
    label: `softmaxCrossEntropy ${rows}x${classes} ${variant}`,
    code: `${declarations(probabilities !== undefined)}
${variant === "row" ? ROW_WGSL : WORKGROUP_WGSL}`,
    constants: { count: rows, classes },
    bindings: [logits, labels, losses, ...probabilities === undefined ? [] : [probabilities]],
    workgroups: variant === "row" ? linearGrid(rows) : gridFor(rows),
  };
}

function checkSizes(kernel: string, rows: number, classes: number): number {
  requireSizes(kernel, { rows, classes });
  if (classes === 0 && rows > 0) throw new RangeError(`${kernel}: there is no class to choose from`);
  return requireElements(kernel, [rows, classes]);
}

function declarations(keepsProbabilities: boolean): string {
  return `override count: u32; // rows
override classes: u32;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;
${keepsProbabilities ? "@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>;" : ""}
${floatBitsWgsl("f32")}
${opaqueWgsl(1)}
fn keep_probability(element: u32, largest: f32, sum: f32) {
  ${keepsProbabilities ? "probabilities[element] = exp(logits[element] - largest) / sum;" : ""}
}

fn loss_of(row: u32, largest: f32, sum: f32) -> f32 {
  let label = labels[row];
  let logit = logits[row * classes + min(label, classes - 1u)];
  return select(log(opaque(sum)) - (logit - largest), from_bits(0x7fc00000u), label >= classes);
}
`;
}

const ROW_WGSL = `${LINEAR_MAIN_WGSL}
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
  for (var class_index = 0u; class_index < classes; class_index++) {
    sum += exp(logits[first + class_index] - largest);
  }
  for (var class_index = 0u; class_index < classes; class_index++) {
    keep_probability(first + class_index, largest, sum);
  }
  losses[index] = loss_of(index, largest, sum);
}
`;

const WORKGROUP_WGSL = `var<workgroup> parts: array<f32, ${INVOCATIONS}>;

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
  for (var class_index = local; class_index < classes; class_index += ${INVOCATIONS}u) {
    part += exp(logits[first + class_index] - largest);
  }
  parts[local] = part;
  for (var half = ${INVOCATIONS / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) {
      parts[local] += parts[local + half];
    }
  }
  workgroupBarrier();
  let sum = parts[0];

  for (var class_index = local; class_index < classes; class_index += ${INVOCATIONS}u) {
    keep_probability(first + class_index, largest, sum);
  }
  if (local == 0u) {
    losses[row] = loss_of(row, largest, sum);
  }
}
`;

/** What the gradient binds. */
export interface CrossEntropyGradientBindings<B> {
  /** `[rows, classes]`, f32, from {@link softmaxCrossEntropy}. */
  readonly probabilities: B;
  /** `[rows]`, u32. */
  readonly labels: B;
  /** The gradient of the losses, f32: one for each row, or one for all. */
  readonly scale: B;
  /** `[rows, classes]`, f32, written. */
  readonly out: B;
}

/** The sizes of a batch. */
export interface CrossEntropyGradientOptions {
  readonly rows: number;
  readonly classes: number;
  /** Whether `scale` is `[rows]` (the default) or one number. */
  readonly scale?: "row" | "scalar";
}

/**
 * The gradient of the logits: `(probabilities - one-hot(label)) * scale`; NaN in the rows whose label is no class. In rows whose scale
 * is 0 it is 0, whatever logits and label are: a row that has no weight is a row that was never there.
 */
export function softmaxCrossEntropyGradient<B>(
  bindings: CrossEntropyGradientBindings<B>,
  options: CrossEntropyGradientOptions,
): Dispatch<B> {
  const { rows, classes, scale = "row" } = options;
  const count = checkSizes("softmaxCrossEntropyGradient", rows, classes);
  return {
    label: `softmaxCrossEntropyGradient ${rows}x${classes}`,
    code: GRADIENT_WGSL,
    constants: { count, classes, scale_stride: scale === "row" ? 1 : 0 },
    bindings: [bindings.probabilities, bindings.labels, bindings.scale, bindings.out],
    workgroups: linearGrid(count),
  };
}

const GRADIENT_WGSL = `override count: u32; // rows * classes
override classes: u32;
override scale_stride: u32;

@group(0) @binding(0) var<storage, read> probabilities: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

${floatBitsWgsl("f32")}
${LINEAR_MAIN_WGSL}
  let row = index / classes;
  let label = labels[row];
  let expected = select(0.0, 1.0, label == index % classes);
  let factor = scale[row * scale_stride];
  let gradient = (probabilities[index] - expected) * factor;
  out[index] = select(select(gradient, from_bits(0x7fc00000u), label >= classes), 0.0, factor == 0.0);
}
`;
