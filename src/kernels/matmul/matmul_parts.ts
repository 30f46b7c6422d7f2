import { gridFor } from "../../gpu/dispatch.ts";
import { type KernelMemory, type KernelStep, numberRecords } from "../kernel_steps.ts";
import {
  labelOf,
  layoutOf,
  type MatmulBindings,
  type MatmulSizes,
  sourceOf,
  type TiledVariant,
} from "./matmul.ts";
import { type MatmulLayout, PART_NUMBERS, type PartNumber } from "./matmul_layout.ts";

/** Parts begin at multiples of this along every axis, so that each begins where a binding may, and at a vector. */
const UNIT = 64;

type Axis = "m" | "n" | "k";

/** A matrix as it is stored: its lines are along one axis, and neighbours in a line along the other. */
interface StoredMatrix {
  readonly lines: Axis;
  readonly along: Axis;
}

/** Some neighbours along an axis. */
interface Span {
  readonly first: number;
  readonly count: number;
}

/** Whether a matrix of the product is larger than `most` bytes. */
export function exceedsBinding({ m, n, k }: MatmulSizes, most: number): boolean {
  return 4 * Math.max(m * k, k * n, m * n) > most;
}

/**
 * `matmul` of matrices that are larger than a binding, by products of some of their lines: with the same bits, since
 * an element goes on with the sum that the steps of k before have left in the result. `undefined` where lines are too
 * long for that.
 */
export function matmulParts<B>(
  bindings: MatmulBindings<B>,
  sizes: MatmulSizes,
  variant: TiledVariant,
  memory: KernelMemory<B>,
): KernelStep<B>[] | undefined {
  const matrices = matricesOf(sizes);
  const spans = spansOf(sizes, matrices, memory.bindingBytes);
  if (spans === undefined) return undefined;
  const { vectorDepth, ...ofBoth } = layoutOf(sizes);
  const layout = { ...ofBoth, vectorDepth: vectorDepth && variant === "register", isPart: true };
  const { code, tile } = sourceOf(variant, layout, sizes.m, sizes.n);
  const parts = spans.m.flatMap((m) =>
    spans.n.flatMap((n) =>
      spans.k.map((k) => {
        const bound = boundMatrices(bindings, sizes, matrices, { m, n, k }, memory);
        return { m, n, k, bound, numbers: numbersOf({ m, n, k }, bound, layout) };
      })
    )
  );
  const numbers = numberRecords(memory, "numbers of parts", parts.map(({ numbers }) => numbers));
  return parts.map(({ m, n, bound: { a, b, out } }, index): KernelStep<B> => ({
    dispatch: {
      label: labelOf(sizes, variant),
      code,
      constants: {},
      bindings: [a.binding, b.binding, out.binding, numbers(index)],
      workgroups: gridFor(Math.ceil(m.count / tile.rows) * Math.ceil(n.count / tile.columns)),
    },
    writes: [bindings.out],
  }));
}

type Matrices<T> = Readonly<Record<"a" | "b" | "out", T>>;

function matricesOf({ transposeA = false, transposeB = false }: MatmulSizes): Matrices<StoredMatrix> {
  return {
    a: transposeA ? { lines: "k", along: "m" } : { lines: "m", along: "k" },
    b: transposeB ? { lines: "n", along: "k" } : { lines: "k", along: "n" },
    out: { lines: "m", along: "n" },
  };
}

/** How each axis is cut, so that some lines of every large matrix can be bound; `undefined` where they cannot. */
function spansOf(
  sizes: MatmulSizes,
  matrices: Matrices<StoredMatrix>,
  most: number,
): Readonly<Record<Axis, Span[]>> | undefined {
  const counts = { m: sizes.m, n: sizes.n, k: sizes.k };
  for (const { lines, along } of Object.values(matrices)) {
    if (4 * sizes[lines] * sizes[along] <= most) continue;
    counts[lines] = Math.min(counts[lines], Math.floor(most / 4 / sizes[along] / UNIT) * UNIT);
  }
  if (Object.values(counts).includes(0)) return undefined;
  return {
    m: cut(sizes.m, counts.m),
    n: cut(sizes.n, counts.n),
    k: cut(sizes.k, counts.k),
  };
}

function cut(size: number, most: number): Span[] {
  return Array.from({ length: Math.ceil(size / most) }, (_, index) => {
    const first = index * most;
    return { first, count: Math.min(most, size - first) };
  });
}

/** A matrix with where its part begins in what is bound of it, and how far lines lie apart: in elements. */
interface BoundMatrix<B> {
  readonly binding: B;
  readonly first: number;
  readonly pitch: number;
}

function boundMatrices<B>(
  bindings: MatmulBindings<B>,
  sizes: MatmulSizes,
  matrices: Matrices<StoredMatrix>,
  part: Readonly<Record<Axis, Span>>,
  memory: KernelMemory<B>,
): Matrices<BoundMatrix<B>> {
  const bound = (name: "a" | "b" | "out"): BoundMatrix<B> => {
    const { lines, along } = matrices[name];
    const pitch = sizes[along];
    const [{ first, count }, inLine] = [part[lines], part[along].first];
    if (4 * sizes[lines] * pitch <= memory.bindingBytes) {
      return { binding: bindings[name], first: first * pitch + inLine, pitch };
    }
    const binding = memory.slice(bindings[name], 4 * first * pitch, 4 * count * pitch);
    return { binding, first: inLine, pitch };
  };
  return { a: bound("a"), b: bound("b"), out: bound("out") };
}

/** What the kernel binds of a part, in the order of `PART_NUMBERS`. */
function numbersOf<B>(
  { m, n, k }: Readonly<Record<Axis, Span>>,
  { a, b, out }: Matrices<BoundMatrix<B>>,
  layout: MatmulLayout,
): number[] {
  const unitA = layout.vectorA || layout.vectorDepth ? 4 : 1;
  const unitB = layout.vectorB || layout.vectorDepth ? 4 : 1;
  const unitOut = layout.vectorOut ? 4 : 1;
  const numbers: Readonly<Record<PartNumber, number>> = {
    m: m.count,
    n: n.count,
    k: k.count,
    a_first: a.first / unitA,
    a_pitch: a.pitch / unitA,
    b_first: b.first / unitB,
    b_pitch: b.pitch / unitB,
    out_first: out.first / unitOut,
    out_pitch: out.pitch / unitOut,
    goes_on: k.first > 0 ? 1 : 0,
  };
  return PART_NUMBERS.map((name) => numbers[name]);
}
