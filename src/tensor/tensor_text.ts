import { shortestFloat32 } from "../base/text/shortest_float.ts";
import { byteSizeOf, type DType } from "../base/dtype.ts";
import { elementCount, formatShape, type Shape } from "./shape.ts";

/** Of an axis of a large tensor so many elements are shown at each end, by how many axes there are. */
const SHOWN_ENDS = [3, 3, 3, 2];
/** A tensor of no more elements is shown whole. */
const SHOWN_WHOLE = 64;

/** What of a tensor is shown. */
interface ShownTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  /** The element at `index`, row-major. */
  readonly at: (index: number) => number | bigint | undefined;
}

/** A tensor for people: dtype, shape, bytes, and its elements, of a large one those at the ends of each axis. */
export function tensorText({ dtype, shape, at }: ShownTensor): string {
  const count = elementCount(shape);
  const bytes = count * byteSizeOf(dtype);
  const head = `HostTensor ${dtype} ${formatShape(shape)}, ${bytes.toLocaleString("en")} byte${
    bytes === 1 ? "" : "s"
  }`;
  if (count === 0) return head;
  const isWhole = count <= SHOWN_WHOLE;
  const ends = SHOWN_ENDS[shape.length] ?? 1;
  const rows = (axis: number, offset: number, indent: string): string => {
    const length = shape[axis];
    if (length === undefined) return element(dtype, at(offset));
    const stride = elementCount(shape.slice(axis + 1));
    const isCut = !isWhole && length > 2 * ends + 1;
    const shown = isCut ? [...range(0, ends), undefined, ...range(length - ends, length)] : range(0, length);
    const parts = shown.map((index) =>
      index === undefined ? "…" : rows(axis + 1, offset + index * stride, `${indent} `)
    );
    const isInnermost = axis === shape.length - 1;
    return `[${parts.join(isInnermost ? ", " : `,\n${indent} `)}]`;
  };
  return `${head}\n${rows(0, 0, "")}`;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

function element(dtype: DType, value: number | bigint | undefined): string {
  if (value === undefined) return "";
  if (dtype === "bool") return value ? "true" : "false";
  if (typeof value === "bigint" || !["f32", "f16", "bf16"].includes(dtype)) return String(value);
  return Number.isFinite(value) ? shortestFloat32(value) : String(value);
}
