import { type Dispatch, LINEAR_MAIN_WGSL } from "../../gpu/dispatch.ts";
import { eachWindowWgsl, WINDOW_WGSL } from "../moving_window.ts";
import { windowDispatch, type WindowSizes } from "./window_sizes.ts";

/** `out[window] = sum of the input's elements in the window`, f32, in the order of rows and columns. */
export function windowSum<B>(
  { input, out }: { readonly input: B; readonly out: B },
  sizes: WindowSizes,
): Dispatch<B> {
  return windowDispatch("output", sizes, { label: "sum windows", code: SUM_WGSL, bindings: [input, out] });
}

/** `out[element] = sum of moved[window] over the windows that the element is in`: the gradient of {@link windowSum}. */
export function windowSpread<B>(
  { input, out }: { readonly input: B; readonly out: B },
  sizes: WindowSizes,
): Dispatch<B> {
  return windowDispatch("input", sizes, {
    label: "spread over windows",
    code: SPREAD_WGSL,
    bindings: [input, out],
  });
}

const HEAD = `override count: u32;
${WINDOW_WGSL}

@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

${LINEAR_MAIN_WGSL}`;

const SUM_WGSL = `${HEAD}
  let x = index % out_w;
  let y = index / out_w % out_h;
  let plane = index / out_w / out_h;
  var sum = 0.0;
  for (var ky = 0u; ky < kernel_h; ky++) {
    let iy = y * stride_y + ky * dilation_y - padding_y;
    if (iy >= in_h) {
      continue;
    }
    for (var kx = 0u; kx < kernel_w; kx++) {
      let ix = x * stride_x + kx * dilation_x - padding_x;
      if (ix < in_w) {
        sum += input[(plane * in_h + iy) * in_w + ix];
      }
    }
  }
  out[index] = sum;
}
`;

const SPREAD_WGSL = `${HEAD}
  let ix = index % in_w;
  let iy = index / in_w % in_h;
  let plane = index / in_w / in_h;
  var sum = 0.0;
${eachWindowWgsl("      sum += input[(plane * out_h + y) * out_w + x];")}
  out[index] = sum;
}
`;
