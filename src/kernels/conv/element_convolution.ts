import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { eachWindowWgsl } from "../moving_window.ts";
import {
  type ConvolutionProduct,
  type ConvolutionSizes,
  elementsOf,
  sizeConstants,
  SIZES_WGSL,
} from "./convolution_sizes.ts";

/** What a product of a convolution binds: its two factors in the order input, weights, output, and its result. */
export interface ConvolutionBindings<B> {
  readonly factors: readonly [B, B];
  readonly out: B;
}

/**
 * One invocation computes one element of the result, and reads both factors where they are. For all sizes, groups of
 * one channel (depthwise) included; slow where the other variants fit.
 */
export function elementConvolution<B>(
  product: ConvolutionProduct,
  { factors, out }: ConvolutionBindings<B>,
  sizes: ConvolutionSizes,
): Dispatch<B> {
  const elements = elementsOf(sizes);
  const count =
    { output: elements.output, inputGradient: elements.input, weightGradient: elements.weight }[product];
  return {
    label: `convolution ${product} element`,
    code: WGSL[product],
    constants: { ...sizeConstants(sizes), count },
    bindings: [...factors, out],
    workgroups: linearGrid(count),
  };
}

const HEAD = `override count: u32;
${SIZES_WGSL}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

${LINEAR_MAIN_WGSL}`;

const OUTPUT_WGSL =
  `// out[n, o, y, x] = sum over c, ky, kx of input a[n, c, iy, ix] times weight b[o, c, ky, kx].
${HEAD}
  let x = index % out_w;
  let y = index / out_w % out_h;
  let plane = index / out_w / out_h;
  let o = plane % (groups * group_out);
  let first_channel = (plane / (groups * group_out) * groups + o / group_out) * group_in;
  var sum = 0.0;
  for (var c = 0u; c < group_in; c++) {
    for (var ky = 0u; ky < kernel_h; ky++) {
      // Before the input, this wraps around to a large number.
      let iy = y * stride_y + ky * dilation_y - padding_y;
      for (var kx = 0u; kx < kernel_w; kx++) {
        let ix = x * stride_x + kx * dilation_x - padding_x;
        var element = 0.0;
        if (iy < in_h && ix < in_w) {
          element = a[((first_channel + c) * in_h + iy) * in_w + ix];
        }
        sum = fma(element, b[((o * group_in + c) * kernel_h + ky) * kernel_w + kx], sum);
      }
    }
  }
  out[index] = sum;
}
`;

const INPUT_GRADIENT_WGSL =
  `// out[n, c, iy, ix] = sum over o, ky, kx of gradient b[n, o, y, x] times weight a[o, c, ky, kx].
${HEAD}
  let ix = index % in_w;
  let iy = index / in_w % in_h;
  let plane = index / in_w / in_h;
  let c = plane % (groups * group_in);
  let group = c / group_in;
  let first_channel = (plane / (groups * group_in) * groups + group) * group_out;
  var sum = 0.0;
  for (var o = 0u; o < group_out; o++) {
${
    eachWindowWgsl(`      let own = ((group * group_out + o) * group_in + c % group_in) * kernel_h;
      let weight = a[(own + ky) * kernel_w + kx];
      sum = fma(b[((first_channel + o) * out_h + y) * out_w + x], weight, sum);`)
  }
  }
  out[index] = sum;
}
`;

const WEIGHT_GRADIENT_WGSL =
  `// out[o, c, ky, kx] = sum over n, y, x of input a[n, c, iy, ix] times gradient b[n, o, y, x].
${HEAD}
  let kx = index % kernel_w;
  let ky = index / kernel_w % kernel_h;
  let c = index / kernel_w / kernel_h % group_in;
  let o = index / kernel_w / kernel_h / group_in;
  var sum = 0.0;
  for (var n = 0u; n < batch; n++) {
    let in_plane = (n * groups + o / group_out) * group_in + c;
    let out_plane = n * groups * group_out + o;
    // The sum of one image is added as a whole, so that long sums lose less.
    var image_sum = 0.0;
    for (var y = 0u; y < out_h; y++) {
      let iy = y * stride_y + ky * dilation_y - padding_y;
      for (var x = 0u; x < out_w; x++) {
        let ix = x * stride_x + kx * dilation_x - padding_x;
        var element = 0.0;
        if (iy < in_h && ix < in_w) {
          element = a[(in_plane * in_h + iy) * in_w + ix];
        }
        image_sum = fma(element, b[(out_plane * out_h + y) * out_w + x], image_sum);
      }
    }
    sum += image_sum;
  }
  out[index] = sum;
}
`;

const WGSL: Readonly<Record<ConvolutionProduct, string>> = {
  output: OUTPUT_WGSL,
  inputGradient: INPUT_GRADIENT_WGSL,
  weightGradient: WEIGHT_GRADIENT_WGSL,
};
