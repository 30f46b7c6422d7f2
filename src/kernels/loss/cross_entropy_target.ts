import { requireElements, requireNumber, requireSizes } from "../sizes.ts";

/** What a row is measured against, besides its label. */
export interface CrossEntropyTarget {
  /** The part of the target that is spread over all classes, from 0 to 1. Default 0. */
  readonly labelSmoothing?: number | undefined;
  /** The sum of the weights of the classes. Needed where there are some. */
  readonly totalWeight?: number | undefined;
}

/** What the code of a kernel depends on. */
export interface Target {
  readonly isSmoothed: boolean;
  readonly isWeighted: boolean;
  readonly constants: Readonly<Record<string, number>>;
}

/** What `target` makes of the code, and its constants. */
export function targetOf(
  { classes, labelSmoothing = 0, totalWeight = classes }: CrossEntropyTarget & { readonly classes: number },
  isWeighted: boolean,
): Target {
  requireNumber("softmaxCrossEntropy", "labelSmoothing", labelSmoothing, 0, 1);
  const isSmoothed = labelSmoothing > 0;
  const [own, each] = [1 - labelSmoothing, labelSmoothing / classes];
  const constants = isSmoothed ? { own_part: own, class_part: each, spread_part: each * totalWeight } : {};
  return { isSmoothed, isWeighted, constants };
}

/** How many logits there are. RangeError for rows without a class, and for too many. */
export function checkSizes(kernel: string, rows: number, classes: number): number {
  requireSizes(kernel, { rows, classes });
  if (classes === 0 && rows > 0) throw new RangeError(`${kernel}: there is no class to choose from`);
  return requireElements(kernel, [rows, classes]);
}

/** What the label and every class are weighted by. With smoothing, the parts of the target that they have. */
export function targetWgsl({ isSmoothed, isWeighted }: Target, binding: number): string {
  const parts = `override own_part: f32;
override class_part: f32;
override spread_part: f32; // of all classes together
`;
  const weights = `@group(0) @binding(${binding}) var<storage, read> class_weights: array<f32>;
`;
  return `${isSmoothed ? parts : ""}${isWeighted ? weights : ""}
fn weight_of(class_index: u32) -> f32 {
  return ${isWeighted ? "class_weights[class_index]" : "1.0"};
}
`;
}
