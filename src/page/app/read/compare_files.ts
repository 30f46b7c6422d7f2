import { DistanceSum, type TensorDistance } from "../../../tensor/tensor_distance.ts";
import { allParts } from "./look_at_tensor.ts";
import type { OpenedFile, ShownTensor } from "./opened_file.ts";

/** What came of comparing the tensors of one name. */
export type Verdict =
  | { readonly kind: "only"; readonly in: "a" | "b" }
  | { readonly kind: "form"; readonly a: ShownTensor; readonly b: ShownTensor }
  | { readonly kind: "unreadable"; readonly message: string }
  | { readonly kind: "compared"; readonly distance: TensorDistance };

/** A tensor of one of two files or of both. */
export interface ComparedTensor {
  readonly name: string;
  readonly tensor: ShownTensor;
  readonly verdict: Verdict;
}

/** How to compare. */
export interface Comparing {
  readonly signal: AbortSignal;
  /** Called for each tensor, with the share of all bytes that were read by then. */
  readonly onTensor: (tensor: ComparedTensor, share: number) => void;
}

/** Compares all tensors of two files, in the order of the first; then those that only the second one has. */
export async function compareFiles(
  a: OpenedFile,
  b: OpenedFile,
  { signal, onTensor }: Comparing,
): Promise<void> {
  const ofB = new Map(b.tensors.map((tensor) => [tensor.name, tensor]));
  const names = new Set(a.tensors.map(({ name }) => name));
  const total = a.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let done = 0;
  for (const tensor of a.tensors) {
    const other = ofB.get(tensor.name);
    const verdict: Verdict = other === undefined
      ? { kind: "only", in: "a" }
      : isSameForm(tensor, other)
      ? await compareTensor(a, b, tensor, signal)
      : { kind: "form", a: tensor, b: other };
    done += tensor.byteLength;
    onTensor({ name: tensor.name, tensor, verdict }, total === 0 ? 1 : done / total);
  }
  for (const tensor of b.tensors) {
    if (!names.has(tensor.name)) {
      onTensor({ name: tensor.name, tensor, verdict: { kind: "only", in: "b" } }, 1);
    }
  }
}

async function compareTensor(
  a: OpenedFile,
  b: OpenedFile,
  { name, dtype, byteLength }: ShownTensor,
  signal: AbortSignal,
): Promise<Verdict> {
  if (dtype === undefined) return { kind: "unreadable", message: "Cairn has no such dtype" };
  const sum = new DistanceSum(dtype, dtype);
  try {
    for (const { start, end } of allParts(byteLength)) {
      const [bytesA, bytesB] = await Promise.all([
        a.readPart(name, start, end, signal),
        b.readPart(name, start, end, signal),
      ]);
      sum.add(bytesA, bytesB);
    }
  } catch (error) {
    if (signal.aborted) throw error;
    return { kind: "unreadable", message: error instanceof Error ? error.message : String(error) };
  }
  return { kind: "compared", distance: sum.result };
}

function isSameForm(a: ShownTensor, b: ShownTensor): boolean {
  return a.storedAs === b.storedAs && a.shape.length === b.shape.length &&
    a.shape.every((size, index) => size === b.shape[index]);
}
