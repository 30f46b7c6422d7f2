import { type Dispatch, linearGrid, WORKGROUP_SIZE } from "./dispatch.ts";
import { requireSizes } from "./sizes.ts";

/** Which planes, and of what. */
export interface BytePlanesOptions {
  /** Elements. */
  readonly count: number;
  /** Bytes of an element: 2, 4 or 8. */
  readonly byteSize: number;
  /** Whether elements are rotated left by one bit first, as floating point is, so that the sign leaves the exponent's byte. */
  readonly rotate: boolean;
  /** Bytes from one plane to the next: a multiple of 4, and no less than there are elements. */
  readonly strideBytes: number;
}

/** What the kernels read and write. */
export interface BytePlanesBindings<B> {
  /** A uniform, {@link encodeBytePlanes}: sizes are no constants, since every tail would compile a kernel of its own. */
  readonly sizes: B;
  readonly raw: B;
  readonly planes: B;
}

/**
 * Splits elements into planes, as the codec `planes` has them: plane k has byte k of every element. Each invocation
 * takes four elements and writes a word of each plane; the last word of a plane is filled up with zeros.
 */
export function splitPlanes<B>(bindings: BytePlanesBindings<B>, options: BytePlanesOptions): Dispatch<B> {
  return dispatchOf("split planes", SPLIT_WGSL, bindings, options);
}

/** The inverse of {@link splitPlanes}. The last word of elements of two bytes is filled up with zeros. */
export function mergePlanes<B>(bindings: BytePlanesBindings<B>, options: BytePlanesOptions): Dispatch<B> {
  return dispatchOf("merge planes", MERGE_WGSL, bindings, options);
}

/** The uniform of both kernels. Throws `RangeError` for sizes that cannot be. */
export function encodeBytePlanes({ count, byteSize, rotate, strideBytes }: BytePlanesOptions): Uint32Array {
  requireSizes("byte planes", { count, strideBytes });
  if (byteSize !== 2 && byteSize !== 4 && byteSize !== 8) {
    throw new RangeError(`byte planes: byteSize is ${byteSize}; expected 2, 4 or 8`);
  }
  if (strideBytes % 4 !== 0 || strideBytes < count) {
    throw new RangeError(
      `byte planes: strideBytes is ${strideBytes}; expected a multiple of 4 from ${count}`,
    );
  }
  return Uint32Array.of(count, byteSize, Number(rotate), strideBytes / 4);
}

function dispatchOf<B>(
  label: string,
  code: string,
  { sizes, raw, planes }: BytePlanesBindings<B>,
  { count }: BytePlanesOptions,
): Dispatch<B> {
  return {
    label,
    code,
    constants: {},
    bindings: [sizes, raw, planes],
    workgroups: linearGrid(Math.ceil(count / 4)),
  };
}

const PLANES_WGSL = `struct Sizes {
  // Elements.
  count: u32,
  byte_size: u32,
  rotate: u32,
  // Words from one plane to the next.
  stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
`;

/** Leaves `index`: which four elements this invocation has. */
const PLANES_MAIN_WGSL = `@compute @workgroup_size(${WORKGROUP_SIZE})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.y * workgroups.x + workgroup.x) * ${WORKGROUP_SIZE}u + local;
  if (4u * index >= sizes.count) {
    return;
  }`;

const SPLIT_WGSL = `${PLANES_WGSL}@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> planes: array<u32>;

// The low and the high word of an element.
fn element_at(i: u32) -> vec2<u32> {
  if (sizes.byte_size == 2u) {
    let element = (raw[i / 2u] >> (i % 2u * 16u)) & 0xffffu;
    return vec2<u32>(select(element, ((element << 1u) | (element >> 15u)) & 0xffffu, sizes.rotate == 1u), 0u);
  }
  if (sizes.byte_size == 4u) {
    let element = raw[i];
    return vec2<u32>(select(element, (element << 1u) | (element >> 31u), sizes.rotate == 1u), 0u);
  }
  let element = vec2<u32>(raw[2u * i], raw[2u * i + 1u]);
  return select(element, (element << vec2<u32>(1u)) | (element.yx >> vec2<u32>(31u)), sizes.rotate == 1u);
}

${PLANES_MAIN_WGSL}
  var low = vec4<u32>();
  var high = vec4<u32>();
  for (var i = 0u; i < min(4u, sizes.count - 4u * index); i++) {
    let element = element_at(4u * index + i);
    low[i] = element.x;
    high[i] = element.y;
  }
  for (var plane = 0u; plane < sizes.byte_size; plane++) {
    let words = select(low, high, plane >= 4u);
    let bytes = (words >> vec4<u32>(plane % 4u * 8u)) & vec4<u32>(255u);
    planes[plane * sizes.stride + index] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
  }
}
`;

const MERGE_WGSL = `${PLANES_WGSL}@group(0) @binding(1) var<storage, read_write> raw: array<u32>;
@group(0) @binding(2) var<storage, read> planes: array<u32>;

${PLANES_MAIN_WGSL}
  var low = vec4<u32>();
  var high = vec4<u32>();
  for (var plane = 0u; plane < sizes.byte_size; plane++) {
    let word = planes[plane * sizes.stride + index];
    let bytes = (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);
    let shifted = bytes << vec4<u32>(plane % 4u * 8u);
    if (plane < 4u) {
      low |= shifted;
    } else {
      high |= shifted;
    }
  }
  let elements = min(4u, sizes.count - 4u * index);
  if (sizes.byte_size == 2u) {
    let turned = select(low, (low >> vec4<u32>(1u)) | ((low << vec4<u32>(15u)) & vec4<u32>(0x8000u)), sizes.rotate == 1u);
    let there = select(vec4<u32>(), turned, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(elements));
    raw[2u * index] = there.x | (there.y << 16u);
    if (elements > 2u) {
      raw[2u * index + 1u] = there.z | (there.w << 16u);
    }
    return;
  }
  // The lowest bit of an element of one word is its own sign; of two words each one's highest bit comes from the other.
  let above = select(low, high, sizes.byte_size == 8u);
  let low_turned = select(low, (low >> vec4<u32>(1u)) | (above << vec4<u32>(31u)), sizes.rotate == 1u);
  let high_turned = select(high, (high >> vec4<u32>(1u)) | (low << vec4<u32>(31u)), sizes.rotate == 1u);
  for (var i = 0u; i < elements; i++) {
    if (sizes.byte_size == 4u) {
      raw[4u * index + i] = low_turned[i];
    } else {
      raw[2u * (4u * index + i)] = low_turned[i];
      raw[2u * (4u * index + i) + 1u] = high_turned[i];
    }
  }
}
`;
