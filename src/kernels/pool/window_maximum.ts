import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { eachWindowWgsl, WINDOW_WGSL } from "../moving_window.ts";
import { areApart, isInside, windowDispatch, type WindowSizes } from "./window_sizes.ts";

/**
 * What both kernels bind: the elements that windows have their maximum of, and what is moved from there or to there.
 */
export interface WindowMaximumBindings<B> {
  readonly input: B;
  readonly moved: B;
  readonly out: B;
}

/**
 * `out[window] = moved[place of the window's maximum in input]`, in 32-bit words. The place is that of the first of
 * equal maxima; NaN counts as the largest, as in PyTorch. What is moved may be the input itself.
 */
export function pickMaximum<B>(
  { input, moved, out }: WindowMaximumBindings<B>,
  sizes: WindowSizes,
): Dispatch<B> {
  const pick = input === moved
    ? { label: "maximum", code: MAXIMUM_WGSL, bindings: [input, out] }
    : { label: "pick maximum", code: PICK_WGSL, bindings: [input, moved, out] };
  return withInside(windowDispatch("output", sizes, pick), sizes);
}

/**
 * `out[element] = sum of moved[window] over the windows whose maximum in input is this element`, of f32, in the order
 * of the windows' last elements.
 */
export function spreadMaximum<B>(
  { input, moved, out }: WindowMaximumBindings<B>,
  sizes: WindowSizes,
): Dispatch<B> {
  const kernel = { label: "spread to maximum", code: SPREAD_WGSL, bindings: [input, moved, out] };
  const spread = withInside(windowDispatch("input", sizes, kernel), sizes);
  return areApart(sizes) ? spreadApart(spread, sizes) : spread;
}

function withInside<B>(dispatch: Dispatch<B>, sizes: WindowSizes): Dispatch<B> {
  return { ...dispatch, constants: { ...dispatch.constants, is_inside: isInside(sizes) ? 1 : 0 } };
}

/**
 * `spread` of windows that share no element: an invocation has a window and the gap behind it, and writes all elements
 * of both, so that the place of a maximum is found once.
 */
function spreadApart<B>(spread: Dispatch<B>, sizes: WindowSizes): Dispatch<B> {
  const { planes, input, stride, padding } = sizes;
  const rows = Math.ceil((input[0] + padding[0]) / stride[0]);
  const columns = Math.ceil((input[1] + padding[1]) / stride[1]);
  const count = planes * rows * columns;
  return {
    ...spread,
    label: `${spread.label} apart`,
    code: SPREAD_APART_WGSL,
    constants: { ...spread.constants, count, rows, columns },
    workgroups: linearGrid(count),
  };
}

/** NaN is found by its bits, since compilers may assume that there is none. */
const PLACE_WGSL = `override is_inside: u32; // 1 where no window reaches out of the input

fn is_nan(bits: u32) -> bool {
  return (bits & 0x7fffffffu) > 0x7f800000u;
}

// Larger numbers have larger keys; -0 and 0 have the same, and NaN the largest.
fn key(bits: u32) -> u32 {
  if (is_nan(bits)) {
    return 0xffffffffu;
  }
  if (bits == 0x80000000u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

// Where in \`input\` the maximum of a window is, and its bits. A window has at least one element.
fn maximum_of(plane: u32, y: u32, x: u32) -> vec2<u32> {
  var maximum = vec2<u32>();
  var largest = 0u;
  var is_found = false;
  for (var ky = 0u; ky < kernel_h; ky++) {
    let iy = y * stride_y + ky * dilation_y - padding_y;
    if (is_inside == 0u && iy >= in_h) {
      continue;
    }
    for (var kx = 0u; kx < kernel_w; kx++) {
      let ix = x * stride_x + kx * dilation_x - padding_x;
      if (is_inside == 0u && ix >= in_w) {
        continue;
      }
      let address = (plane * in_h + iy) * in_w + ix;
      let bits = input[address];
      let found = key(bits);
      if (!is_found || found > largest) {
        maximum = vec2<u32>(address, bits);
        largest = found;
        is_found = true;
      }
    }
  }
  return maximum;
}

fn place_of(plane: u32, y: u32, x: u32) -> u32 {
  return maximum_of(plane, y, x).x;
}`;

const PICK_WGSL = `override count: u32;
${WINDOW_WGSL}

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read> moved: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

${PLACE_WGSL}

${LINEAR_MAIN_WGSL}
  out[index] = moved[place_of(index / out_w / out_h, index / out_w % out_h, index % out_w)];
}
`;

const MAXIMUM_WGSL = `override count: u32;
${WINDOW_WGSL}

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

${PLACE_WGSL}

${LINEAR_MAIN_WGSL}
  out[index] = maximum_of(index / out_w / out_h, index / out_w % out_h, index % out_w).y;
}
`;

const SPREAD_WGSL = `override count: u32;
${WINDOW_WGSL}

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read> moved: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

${PLACE_WGSL}

${LINEAR_MAIN_WGSL}
  let ix = index % in_w;
  let iy = index / in_w % in_h;
  let plane = index / in_w / in_h;
  var sum = 0.0;
${
  eachWindowWgsl(`      if (place_of(plane, y, x) == index) {
        sum += moved[(plane * out_h + y) * out_w + x];
      }`)
}
  out[index] = sum;
}
`;

const SPREAD_APART_WGSL = `override count: u32;
override rows: u32; // of windows, and of gaps behind the last
override columns: u32;
${WINDOW_WGSL}

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read> moved: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

${PLACE_WGSL}

${LINEAR_MAIN_WGSL}
  let x = index % columns;
  let y = index / columns % rows;
  let plane = index / columns / rows;
  var place = 0xffffffffu;
  var element = 0.0;
  if (y < out_h && x < out_w) {
    place = place_of(plane, y, x);
    element += moved[(plane * out_h + y) * out_w + x];
  }
  for (var dy = 0u; dy < stride_y; dy++) {
    let iy = y * stride_y + dy - padding_y;
    if (iy >= in_h) {
      continue;
    }
    for (var dx = 0u; dx < stride_x; dx++) {
      let ix = x * stride_x + dx - padding_x;
      if (ix >= in_w) {
        continue;
      }
      let address = (plane * in_h + iy) * in_w + ix;
      out[address] = select(0.0, element, address == place);
    }
  }
}
`;
