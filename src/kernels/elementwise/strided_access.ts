import type { DType } from "../../base/dtype.ts";
import { computeDTypeOf } from "./expression_dtype.ts";
import { TYPE_NAMES } from "./expression_wgsl.ts";

/** A shape and the strides of tensors along it, with as few dimensions as say the same. */
export interface Collapsed {
  /** Outermost first; at least one. */
  readonly sizes: readonly number[];
  /** Element strides of each tensor along `sizes`. */
  readonly strides: readonly (readonly number[])[];
}

/** Drops dimensions of size 1 and joins neighbours that every tensor walks as if they were one. */
export function collapse(shape: readonly number[], strides: readonly (readonly number[])[]): Collapsed {
  const sizes: number[] = [];
  const merged: number[][] = strides.map(() => []);
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const own = strides.map((tensor) => tensor[axis] ?? 0);
    const continues = sizes.length > 0 &&
      merged.every((tensor, which) => tensor.at(-1) === (own[which] ?? 0) * size);
    if (continues) {
      sizes.push((sizes.pop() ?? 1) * size);
      merged.forEach((tensor, which) => tensor.splice(-1, 1, own[which] ?? 0));
    } else {
      sizes.push(size);
      merged.forEach((tensor, which) => tensor.push(own[which] ?? 0));
    }
  });
  if (sizes.length > 0) return { sizes, strides: merged };
  return { sizes: [1], strides: strides.map(() => [0]) };
}

/** How a kernel reads one input: WGSL, and the override constants that it uses. */
export interface InputAccess {
  /** Declaration of the binding and of what reads it. */
  readonly declarations: string;
  /** The one or four elements that belong to `index`. */
  readonly load: string;
  readonly constants: Readonly<Record<string, number>>;
  /** Whether `load` uses the coordinates that {@link coordinatesWgsl} computes. */
  readonly usesCoordinates: boolean;
}

/**
 * The access to input `input`, bound at `binding`, with `strides` along the collapsed `sizes`. With a `width` of 4,
 * the last size is a multiple of 4 and `index` counts groups of four elements along it.
 */
export function inputAccess(
  input: number,
  binding: number,
  dtype: DType,
  sizes: readonly number[],
  strides: readonly number[],
  width: 1 | 4,
): InputAccess {
  const word = dtype in PACKED ? "u32" : computeDTypeOf(dtype);
  const inner = strides.at(-1) ?? 0;
  const isUniform = strides.every((stride) => stride === 0);
  const isLinear = isContiguous(sizes, strides);
  const isVector = width === 4 && !(dtype in PACKED) &&
    (isLinear || inner === 1 && strides.slice(0, -1).every((stride) => stride % 4 === 0));
  const element = isVector ? TYPE_NAMES[computeDTypeOf(dtype)] : word;
  const used = isUniform || isLinear ? [] : [...strides.keys()].filter((axis) => strides[axis] !== 0);
  const offset = isUniform
    ? "0u"
    : isLinear
    ? (width === 4 ? "index * 4u" : "index")
    : used.map((axis) => strides[axis] === 1 ? `at_${axis}` : `at_${axis} * stride_${input}_${axis}`).join(
      " + ",
    );
  const strided = used.filter((axis) => strides[axis] !== 1);
  const innerStride = inner === 1 || isLinear ? "1u" : `stride_${input}_${strides.length - 1}`;
  return {
    declarations: [
      ...strided.map((axis) => `override stride_${input}_${axis}: u32;`),
      `@group(0) @binding(${binding}) var<storage, read> input_${input}: array<${element}>;`,
      packedLoad(dtype, input),
    ].filter((line) => line !== "").join("\n"),
    load: loadText({ dtype, input, offset, innerStride, inner, isVector, isLinear, width }),
    constants: Object.fromEntries(strided.map((axis) => [`stride_${input}_${axis}`, strides[axis] ?? 0])),
    usesCoordinates: used.length > 0,
  };
}

function isContiguous(sizes: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = sizes.length - 1; axis >= 0; axis--) {
    if (strides[axis] !== expected) return false;
    expected *= sizes[axis] ?? 1;
  }
  return true;
}

interface LoadShape {
  readonly dtype: DType;
  readonly input: number;
  readonly offset: string;
  readonly innerStride: string;
  readonly inner: number;
  readonly isVector: boolean;
  readonly isLinear: boolean;
  readonly width: 1 | 4;
}

function loadText(shape: LoadShape): string {
  const { dtype, input, offset, innerStride, inner, isVector, isLinear, width } = shape;
  if (isVector) return isLinear ? `input_${input}[index]` : `input_${input}[(${offset}) / 4u]`;
  const one = (address: string) =>
    dtype in PACKED ? `unpack_${input}(${address})` : `input_${input}[${address}]`;
  const type = TYPE_NAMES[computeDTypeOf(dtype)];
  if (width === 1 || inner === 0) return `${type}(${one(offset)})`;
  const four = [0, 1, 2, 3].map((step) => one(`${offset} + ${step}u * ${innerStride}`));
  return `${type}(${four.join(", ")})`;
}

/**
 * The coordinates of `index` along the collapsed sizes, `at_0` being the outermost. With a `width` of 4 they are those of the
 * first of four elements.
 */
export function coordinatesWgsl(
  sizes: readonly number[],
  width: 1 | 4,
): { overrides: string; statements: string[] } {
  const last = sizes.length - 1;
  const axes = [...sizes.keys()].slice(1);
  const statements = [`let element = index${width === 4 ? " * 4u" : ""};`];
  let rest = "element";
  for (let axis = last; axis > 0; axis--) {
    statements.push(`let at_${axis} = ${rest} % size_${axis};`, `let rest_${axis} = ${rest} / size_${axis};`);
    rest = `rest_${axis}`;
  }
  statements.push(`let at_0 = ${rest};`);
  return { overrides: axes.map((axis) => `override size_${axis}: u32;`).join("\n"), statements };
}

/** The constants of {@link coordinatesWgsl}. */
export function coordinateConstants(sizes: readonly number[]): Record<string, number> {
  return Object.fromEntries([...sizes.entries()].slice(1).map(([axis, size]) => [`size_${axis}`, size]));
}

/** How an element is taken out of the 32-bit words of a dtype that is smaller. */
const PACKED: Readonly<Partial<Record<DType, (words: string) => string>>> = {
  f16: (words) => `unpack2x16float(${words}[element / 2u])[element % 2u]`,
  bf16: (words) => `bitcast<f32>((${words}[element / 2u] >> (element % 2u * 16u)) << 16u)`,
  u16: (words) => `extractBits(${words}[element / 2u], element % 2u * 16u, 16u)`,
  i16: (words) => `extractBits(bitcast<i32>(${words}[element / 2u]), element % 2u * 16u, 16u)`,
  u8: (words) => `extractBits(${words}[element / 4u], element % 4u * 8u, 8u)`,
  i8: (words) => `extractBits(bitcast<i32>(${words}[element / 4u]), element % 4u * 8u, 8u)`,
  bool: (words) => `extractBits(${words}[element / 4u], element % 4u * 8u, 8u)`,
};

function packedLoad(dtype: DType, input: number): string {
  const unpack = PACKED[dtype];
  if (unpack === undefined) return "";
  return `fn unpack_${input}(element: u32) -> ${computeDTypeOf(dtype)} {
  return ${unpack(`input_${input}`)};
}`;
}
