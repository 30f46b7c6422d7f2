import { type Dispatch, LINEAR_MAIN_WGSL } from "../../gpu/dispatch.ts";
import { eachWindowWgsl, WINDOW_WGSL } from "../moving_window.ts";
import { windowDispatch, type WindowSizes } from "./window_sizes.ts";

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
 * equal maxima; NaN counts as the largest, as in PyTorch.
 */
export function pickMaximum<B>(
  { input, moved, out }: WindowMaximumBindings<B>,
  sizes: WindowSizes,
): Dispatch<B> {
  return windowDispatch("output", sizes, {
    label: "pick maximum",
    code: PICK_WGSL,
    bindings: [input, moved, out],
  });
}

/**
 * `out[element] = sum of moved[window] over the windows whose maximum in input is this element`, of f32, in the order
 * of the windows' last elements.
 */
export function spreadMaximum<B>(
  { input, moved, out }: WindowMaximumBindings<B>,
  sizes: WindowSizes,
): Dispatch<B> {
  return windowDispatch("input", sizes, {
    label: "spread to maximum",
    code: SPREAD_WGSL,
    bindings: [input, moved, out],
  });
}

/** NaN is found by its bits, since compilers may assume that there is none. */
const PLACE_WGSL = `fn is_nan(bits: u32) -> bool {
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

// Where in \`input\` the maximum of a window is. A window has at least one element.
fn place_of(plane: u32, y: u32, x: u32) -> u32 {
  var place = 0u;
  var largest = 0u;
  var is_found = false;
  for (var ky = 0u; ky < kernel_h; ky++) {
    let iy = y * stride_y + ky * dilation_y - padding_y;
    if (iy >= in_h) {
      continue;
    }
    for (var kx = 0u; kx < kernel_w; kx++) {
      let ix = x * stride_x + kx * dilation_x - padding_x;
      if (ix >= in_w) {
        continue;
      }
      let address = (plane * in_h + iy) * in_w + ix;
      let found = key(input[address]);
      if (!is_found || found > largest) {
        place = address;
        largest = found;
        is_found = true;
      }
    }
  }
  return place;
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
