import type { DType } from "../base/dtype.ts";
import { CairnError } from "../base/errors.ts";
import { formatShape, type Shape, shapesEqual } from "../tensor/shape.ts";

/** A tensor as far as loading cares. */
export interface TensorForm {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A tensor that is on both sides and differs. */
export interface Mismatch {
  readonly name: string;
  /** In the file, as in "f32 [64, 784]". */
  readonly found: string;
  /** In the store. */
  readonly expected: string;
}

/** What loading tensors into a store did, or would do. */
export interface LoadReport {
  readonly loaded: readonly string[];
  /** In the store and not in the file. They keep what they had. */
  readonly missing: readonly string[];
  /** In the file and not in the store. */
  readonly unexpected: readonly string[];
  /** In both, with another dtype or shape. They keep what they had. */
  readonly mismatched: readonly Mismatch[];
  /** For a missing tensor, an unexpected one of the same form that may be it under another name. */
  readonly suggestions: Readonly<Record<string, string>>;
}

/**
 * Compares what is wanted with what is found, by name.
 *
 * @param excused Names that may be missing, because they were left out when the file was written.
 */
export function compareTensors(
  wanted: readonly TensorForm[],
  found: ReadonlyMap<string, TensorForm>,
  excused: ReadonlySet<string>,
): LoadReport {
  const loaded: string[] = [];
  const mismatched: Mismatch[] = [];
  const missing: TensorForm[] = [];
  for (const tensor of wanted) {
    const other = found.get(tensor.name);
    if (other === undefined) {
      if (!excused.has(tensor.name)) missing.push(tensor);
    } else if (other.dtype === tensor.dtype && shapesEqual(other.shape, tensor.shape)) {
      loaded.push(tensor.name);
    } else mismatched.push({ name: tensor.name, found: formOf(other), expected: formOf(tensor) });
  }
  const known = new Set(wanted.map(({ name }) => name));
  const unexpected = [...found.values()].filter(({ name }) => !known.has(name));
  return {
    loaded,
    missing: missing.map(({ name }) => name),
    unexpected: unexpected.map(({ name }) => name),
    mismatched,
    suggestions: suggest(missing, unexpected),
  };
}

/**
 * @throws CairnError `state_mismatch` that names what does not fit, with the report as `details.value`, unless all does.
 */
export function requireMatch(report: LoadReport, from: string): void {
  const problems = [
    ...report.mismatched.map(({ name, found, expected }) => `"${name}" is ${found}, expected ${expected}`),
    ...report.missing.map((name) => {
      const other = report.suggestions[name];
      return `"${name}" is missing${other === undefined ? "" : ` (is it "${other}"?)`}`;
    }),
    ...report.unexpected.map((name) => `"${name}" is not expected`),
  ];
  if (problems.length === 0) return;
  const shown = problems.slice(0, 5).join("; ");
  const rest = problems.length > 5 ? `; and ${problems.length - 5} more` : "";
  throw new CairnError(
    "state_mismatch",
    `Cannot load ${from} strictly: ${shown}${rest}. Nothing was changed; load with strict: false to take what fits`,
    { details: { value: report } },
  );
}

function formOf({ dtype, shape }: TensorForm): string {
  return `${dtype} ${formatShape(shape)}`;
}

/** Pairs names that end alike, as when all of them got the prefix "module." */
function suggest(missing: readonly TensorForm[], unexpected: readonly TensorForm[]): Record<string, string> {
  const suggestions: Record<string, string> = {};
  for (const tensor of missing) {
    let best = 0;
    for (const other of unexpected) {
      if (other.dtype !== tensor.dtype || !shapesEqual(other.shape, tensor.shape)) continue;
      const score = commonEnding(tensor.name, other.name);
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
