import type { DType } from "../../base/dtype.ts";
import { computeDTypeOf } from "./expression_dtype.ts";
import { TYPE_NAMES } from "./expression_wgsl.ts";
import { isSixteenBits, unpackFourWgsl } from "./sixteen_bits.ts";

/** Where along a dimension an input is read: from `from` to below `to`. */
export interface Bounds {
  readonly axis: number;
  readonly from: number;
  readonly to: number;
}

/** How a tensor is walked: which of its elements belongs to each place of a shape. */
export interface Walk {
  /** Elements between neighbours along each dimension; 0 repeats one, a negative one goes backwards. */
  readonly strides: readonly number[];
  /**
   * The element that belongs to the first place; 0 when left out. It may be none, where bounds leave that place out.
   */
  readonly offset?: number;
  /** Places outside of any of these have no element. */
  readonly bounds?: readonly Bounds[];
}

/** Shapes and walks with as few dimensions as say the same. */
export interface Collapsed {
  /** Outermost first; at least one. */
  readonly sizes: readonly number[];
  /** Each with bounds, `undefined` where no place has an element. */
  readonly walks: readonly (Required<Walk> | undefined)[];
}

/** Drops dimensions of size 1 and joins neighbours that every tensor walks as if they were one. */
export function collapse(shape: readonly number[], walks: readonly Walk[]): Collapsed {
  const sizes: number[] = [];
  const merged: { strides: number[]; bounds: Bounds[]; isEmpty: boolean }[] = walks.map(() => ({
    strides: [],
    bounds: [],
    isEmpty: false,
  }));
  const boundsAt = (which: number, axis: number) =>
    (walks[which]?.bounds ?? []).filter((bounds) => bounds.axis === axis);
  shape.forEach((size, axis) => {
    const own = walks.map(({ strides }) => strides[axis] ?? 0);
    const limits = walks.map((_, which) => boundsAt(which, axis));
    merged.forEach((tensor, which) => {
      tensor.isEmpty ||= (limits[which] ?? []).some(({ from, to }) =>
        Math.max(from, 0) >= Math.min(to, size)
      );
    });
    if (size === 1) return;
    const continues = sizes.length > 0 && limits.every((bounds) => bounds.length === 0) &&
      merged.every(({ strides }, which) => strides.at(-1) === (own[which] ?? 0) * size);
    const last = continues ? sizes.length - 1 : sizes.length;
    sizes[last] = (continues ? sizes[last] ?? 1 : 1) * size;
    merged.forEach((tensor, which) => {
      tensor.strides[last] = own[which] ?? 0;
      // Places along the outer of two joined dimensions are as many times further apart.
      tensor.bounds = continues
        ? tensor.bounds.map((bounds) =>
          bounds.axis === last ? { axis: last, from: bounds.from * size, to: bounds.to * size } : bounds
        )
        : [...tensor.bounds, ...(limits[which] ?? []).map((bounds) => ({ ...bounds, axis: last }))];
    });
  });
  if (sizes.length === 0) {
    sizes.push(1);
    for (const { strides } of merged) strides.push(0);
  }
  return {
    sizes,
    walks: merged.map(({ strides, bounds, isEmpty }, which) =>
      isEmpty ? undefined : { strides, bounds, offset: walks[which]?.offset ?? 0 }
    ),
  };
}

/** How many neighbours a kernel over these can compute at a time: four, where they are all read or none of them is. */
export function vectorWidthOf({ sizes, walks }: Collapsed): 1 | 4 {
  const last = sizes.length - 1;
  const isWhole = (sizes[last] ?? 1) % 4 === 0 &&
    walks.every((walk) =>
      (walk?.bounds ?? []).every(({ axis, from, to }) => axis !== last || from % 4 === 0 && to % 4 === 0)
    );
  return isWhole ? 4 : 1;
}

/** How a kernel reads one input: WGSL, and the override constants that it uses. */
export interface InputAccess {
  /** Declaration of the binding and of what reads it. */
  readonly declarations: string;
  /** Where an element is read, as WGSL; `undefined` where each is. */
  readonly guard: string | undefined;
  /** The one or four elements that belong to `index`. */
  readonly load: string;
  readonly constants: Readonly<Record<string, number>>;
  /** Whether `load` or `guard` uses the coordinates that {@link coordinatesWgsl} computes. */
  readonly usesCoordinates: boolean;
}

/**
 * The access to input `input`, bound at `binding`, by its `walk` along the collapsed `sizes`. With a `width` of 4,
 * the last size is a multiple of 4 and `index` counts groups of four elements along it.
 */
export function inputAccess(
  input: number,
  binding: number,
  dtype: DType,
  sizes: readonly number[],
  walk: Required<Walk>,
  width: 1 | 4,
): InputAccess {
  const { strides, offset, bounds } = walk;
  const word = dtype in PACKED ? "u32" : computeDTypeOf(dtype);
  const inner = strides.at(-1) ?? 0;
  const isUniform = strides.every((stride) => stride === 0);
  const isLinear = isContiguous(sizes, strides);
  const isVector = width === 4 && (!(dtype in PACKED) || isSixteenBits(dtype)) && offset % 4 === 0 &&
    (isLinear || inner === 1 && strides.slice(0, -1).every((stride) => stride % 4 === 0));
  const vector = isSixteenBits(dtype) ? "vec2<u32>" : TYPE_NAMES[computeDTypeOf(dtype)];
  const element = isVector ? vector : word;
  const used = isUniform || isLinear ? [] : [...strides.keys()].filter((axis) => strides[axis] !== 0);
  const terms = isLinear
    ? [width === 4 ? "index * 4u" : "index"]
    : used.map((axis) => strides[axis] === 1 ? `at_${axis}` : `at_${axis} * stride_${input}_${axis}`);
  if (offset !== 0) terms.push(`offset_${input}`);
  const strided = used.filter((axis) => strides[axis] !== 1);
  const innerStride = inner === 1 || isLinear ? "1u" : `stride_${input}_${strides.length - 1}`;
  const constants = {
    ...Object.fromEntries(strided.map((axis) => [`stride_${input}_${axis}`, wrapped(strides[axis] ?? 0)])),
    ...offset === 0 ? {} : { [`offset_${input}`]: wrapped(offset) },
    ...Object.fromEntries(bounds.flatMap(({ from, to }, which) => [
      [`from_${input}_${which}`, wrapped(from)],
      [`span_${input}_${which}`, Math.max(to - from, 0)],
    ])),
  };
  const address = terms.length === 0 ? "0u" : terms.join(" + ");
  return {
    declarations: [
      ...Object.keys(constants).map((name) => `override ${name}: u32;`),
      `@group(0) @binding(${binding}) var<storage, read> input_${input}: array<${element}>;`,
      isVector && isSixteenBits(dtype)
        ? `fn unpack_${input}(words: vec2<u32>) -> vec4<f32> {\n  return ${
          unpackFourWgsl(dtype, "words")
        };\n}`
        : packedLoad(dtype, input),
    ].filter((line) => line !== "").join("\n"),
    guard: bounds.length === 0
      ? undefined
      : bounds.map(({ axis }, which) => `(at_${axis} - from_${input}_${which} < span_${input}_${which})`)
        .join(
          " && ",
        ),
    load: loadText({
      dtype,
      input,
      offset: address,
      innerStride,
      inner,
      isVector,
      isLinear: isLinear && offset === 0,
      width,
    }),
    constants,
    usesCoordinates: used.length > 0 || bounds.length > 0,
  };
}

/** A number as the `u32` that adds up to the same: addresses are computed modulo 2^32. */
function wrapped(value: number): number {
  return value >>> 0;
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
  if (isVector) {
    const vector = isLinear ? `input_${input}[index]` : `input_${input}[(${offset}) / 4u]`;
    return isSixteenBits(dtype) ? `unpack_${input}(${vector})` : vector;
  }
  const one = (address: string) =>
    dtype in PACKED ? `unpack_${input}(${address})` : `input_${input}[${address}]`;
  const type = TYPE_NAMES[computeDTypeOf(dtype)];
  if (width === 1 || inner === 0) return `${type}(${one(offset)})`;
  const four = [0, 1, 2, 3].map((step) => one(`${offset} + ${step}u * ${innerStride}`));
  return `${type}(${four.join(", ")})`;
}

/**
 * The coordinates of `index` along the collapsed sizes, `at_0` being the outermost. With a `width` of 4 they are
 * those of the first of four elements.
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
