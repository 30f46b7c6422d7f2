import type { RowsAndColumns } from "./sizes.ts";

/** A window of `kernel` elements that moves over an input and stands at one position for each element of the output. */
export interface MovingWindow {
  readonly input: RowsAndColumns;
  readonly output: RowsAndColumns;
  readonly kernel: RowsAndColumns;
  readonly stride: RowsAndColumns;
  readonly dilation: RowsAndColumns;
  /** Rows and columns before the input that windows begin in. */
  readonly padding: RowsAndColumns;
}

/** The sizes as values of the `override` constants of {@link WINDOW_WGSL}. */
export function windowConstants(
  { input, output, kernel, stride, dilation, padding }: MovingWindow,
): Record<string, number> {
  return {
    in_h: input[0],
    in_w: input[1],
    out_h: output[0],
    out_w: output[1],
    kernel_h: kernel[0],
    kernel_w: kernel[1],
    stride_y: stride[0],
    stride_x: stride[1],
    dilation_y: dilation[0],
    dilation_x: dilation[1],
    padding_y: padding[0],
    padding_x: padding[1],
  };
}

/** Declares {@link windowConstants}. Positions before the input wrap around to large numbers. */
export const WINDOW_WGSL: string = `override in_h: u32;
override in_w: u32;
override out_h: u32;
override out_w: u32;
override kernel_h: u32;
override kernel_w: u32;
override stride_y: u32;
override stride_x: u32;
override dilation_y: u32;
override dilation_x: u32;
override padding_y: u32;
override padding_x: u32;`;

/**
 * Runs `body` for each window that the element of the input in row `iy` and column `ix` is in: the window is that
 * of row `y` and column `x` of the output, and the element is in its row `ky` and column `kx`.
 */
export function eachWindowWgsl(body: string): string {
  return `  for (var ky = 0u; ky < kernel_h; ky++) {
    let from_y = iy + padding_y - ky * dilation_y;
    let y = from_y / stride_y;
    if (from_y % stride_y != 0u || y >= out_h) {
      continue;
    }
    for (var kx = 0u; kx < kernel_w; kx++) {
      let from_x = ix + padding_x - kx * dilation_x;
      let x = from_x / stride_x;
      if (from_x % stride_x != 0u || x >= out_w) {
        continue;
      }
${body}
    }
  }`;
}
