import { CairnError } from "../../base/errors.ts";
import type { Throughput } from "../../base/work.ts";
import { shapesEqual } from "../../tensor/shape.ts";
import { fitOf, type FitOptions, type FoundTensor } from "./tensor_fit.ts";
import { formatForm, type TensorForm } from "../../tensor/tensor_form.ts";

export type { TensorForm } from "../../tensor/tensor_form.ts";

/** A tensor that is on both sides and differs. */
export interface Mismatch {
  /** Full name of the tensor. */
  readonly name: string;
  /** In the file, as in "f32 [64, 784]". */
  readonly found: string;
  /** In the store. */
  readonly expected: string;
}

/** How the tensors of a file fit those of a store, whose names these are except where it says otherwise. */
export interface TensorComparison {
  /** Everything that is taken from the file, what is converted on the way included. */
  readonly loaded: readonly string[];
  /** In the store and not in the file. They keep what they had. */
  readonly missing: readonly string[];
  /** In the file and not in the store, by the file's names. */
  readonly unexpected: readonly string[];
  /** In both, with another dtype or shape. They keep what they had. */
  readonly mismatched: readonly Mismatch[];
  /** In both, with another shape, and left as they were because `shapePolicy` says so. */
  readonly skipped: readonly Mismatch[];
  /** Loaded with another dtype. */
  readonly cast: readonly Mismatch[];
  /** Loaded from the beginning of a larger tensor. */
  readonly sliced: readonly Mismatch[];
  /** Loaded from a smaller tensor, with zeros after it. */
  readonly padded: readonly Mismatch[];
  /** Tensors of the file that were looked for under another name than their own. */
  readonly renamed: readonly { readonly from: string; readonly to: string }[];
  /** Patterns of `only` and `exclude` that match no tensor on either side, as in `only "model.wieght"`. */
  readonly unmatched: readonly string[];
  /** For a missing tensor, an unexpected one of the same form that may be it under another name. */
  readonly suggestions: Readonly<Record<string, string>>;
}

/**
 * What loading tensors into a store did, or would do. Its seconds are all of the load, the check of every byte
 * included; its bytes are those of the tensors in the store that were loaded, 0 in a dry run.
 */
export interface LoadReport extends TensorComparison, Throughput {}

/**
 * Compares what is wanted with what is found.
 *
 * @param found By the name that each is looked for under; its own name is the file's.
 * @param excused Names that may be missing, because they were left out when the file was written.
 */
export function compareTensors(
  wanted: readonly TensorForm[],
  found: ReadonlyMap<string, FoundTensor>,
  excused: ReadonlySet<string>,
  options: FitOptions = {},
): TensorComparison {
  const report = {
    loaded: [] as string[],
    mismatched: [] as Mismatch[],
    skipped: [] as Mismatch[],
    cast: [] as Mismatch[],
    sliced: [] as Mismatch[],
    padded: [] as Mismatch[],
  };
  const missing: TensorForm[] = [];
  for (const tensor of wanted) {
    const { name } = tensor;
    const other = found.get(name);
    if (other === undefined) {
      if (!excused.has(name)) missing.push(tensor);
      continue;
    }
    const { shape, dtype } = fitOf(other, tensor, options);
    const difference = { name, found: formatForm(other), expected: formatForm(tensor) };
    if (shape === "skipped") report.skipped.push(difference);
    else if (shape === "different" || dtype === "different") report.mismatched.push(difference);
    else {
      report.loaded.push(name);
      if (dtype === "cast") report.cast.push(difference);
      if (shape !== "same") report[shape].push(difference);
    }
  }
  const known = new Set(wanted.map(({ name }) => name));
  const unexpected = [...found].filter(([name]) => !known.has(name));
  return {
    ...report,
    missing: missing.map(({ name }) => name),
    unexpected: unexpected.map(([, { name }]) => name),
    renamed: [...found].filter(([to, { name }]) => to !== name).map(([to, { name }]) => ({ from: name, to })),
    unmatched: [],
    suggestions: suggest(missing, unexpected),
  };
}

/**
 * @param advice What the caller can do about it.
 * @throws CairnError `state_mismatch` that names what does not fit, with the report as `details.value`, unless all
 * does.
 */
export function requireMatch(
  report: TensorComparison,
  from: string,
  advice = "load with strict: false to take what fits",
): void {
  const problems = [
    ...report.mismatched.map(({ name, found, expected }) => `"${name}" is ${found}, expected ${expected}`),
    ...report.missing.map((name) => {
      const other = report.suggestions[name];
      return `"${name}" is missing${other === undefined ? "" : ` (is it "${other}"?)`}`;
    }),
    ...report.unexpected.map((name) => `"${name}" is not expected`),
    ...report.unmatched.map((pattern) => `${pattern} matches no tensor`),
  ];
  if (problems.length === 0) return;
  const shown = problems.slice(0, 5).join("; ");
  const rest = problems.length > 5 ? `; and ${problems.length - 5} more` : "";
  throw new CairnError(
    "state_mismatch",
    `Cannot load ${from} strictly: ${shown}${rest}. Nothing was changed; ${advice}`,
    { details: { value: report } },
  );
}

/** Pairs names that end alike, as when all of them got the prefix "module." */
function suggest(
  missing: readonly TensorForm[],
  unexpected: readonly (readonly [name: string, form: TensorForm])[],
): Record<string, string> {
  const suggestions: Record<string, string> = {};
  for (const tensor of missing) {
    let best = 0;
    for (const [name, other] of unexpected) {
      if (other.dtype !== tensor.dtype || !shapesEqual(other.shape, tensor.shape)) continue;
      const score = commonEnding(tensor.name, name);
      if (score > best) suggestions[tensor.name] = other.name;
      best = Math.max(best, score);
    }
  }
  return suggestions;
}

/** How many segments of two dotted names are the same, counted from the end. */
function commonEnding(a: string, b: string): number {
  const left = a.split(".").reverse();
  const right = b.split(".").reverse();
  const different = left.findIndex((segment, index) => segment !== right[index]);
  return different < 0 ? left.length : different;
}
