import { describe, expect, test } from "bun:test";
import { conv1d, conv2d, convTranspose2d } from "../../../../src/graph/ops/spatial/convolution.ts";
import { input } from "../../../../src/graph/ops/sources.ts";
import type { Shape } from "../../../../src/tensor/shape.ts";

function f32(...shape: number[]) {
  return input("x", "f32", shape);
}

describe("shapes of convolutions", () => {
  const image = f32(2, 3, 28, 30);
  const weight = f32(8, 3, 5, 3);

  test("OP-03 a kernel takes its size away, padding adds, strides divide", () => {
    expect(conv2d(image, weight).shape).toEqual([2, 8, 24, 28]);
    expect(conv2d(image, weight, { padding: [2, 1] }).shape).toEqual([2, 8, 28, 30]);
    expect(conv2d(image, weight, { stride: 2 }).shape).toEqual([2, 8, 12, 14]);
    expect(conv2d(image, weight, { dilation: 2 }).shape).toEqual([2, 8, 20, 26]);
    expect(conv2d(image, weight, { padding: [[1, 0], [0, 2]] }).shape).toEqual([2, 8, 25, 30]);
  });

  test('OP-03 "same" keeps the size, or divides it by the stride, rounded up', () => {
    expect(conv2d(image, weight, { padding: "same" }).shape).toEqual([2, 8, 28, 30]);
    expect(conv2d(image, weight, { padding: "same", dilation: 3 }).shape).toEqual([2, 8, 28, 30]);
    expect(conv2d(image, weight, { padding: "same", stride: [3, 4] }).shape).toEqual([2, 8, 10, 8]);
    expect(conv2d(image, weight, { padding: "valid" }).shape).toEqual([2, 8, 24, 28]);
  });

  test("OP-03 conv1d has one axis less", () => {
    expect(conv1d(f32(2, 3, 30), f32(8, 3, 4), { stride: 2, padding: 1 }).shape).toEqual([2, 8, 15]);
    expect(conv1d(f32(2, 3, 30), f32(8, 3, 4), { padding: "same" }).shape).toEqual([2, 8, 30]);
  });

  test("OP-03 convTranspose2d gives back the size that conv2d takes away", () => {
    const output = conv2d(image, weight, { stride: 2, padding: 1 });
    expect(convTranspose2d(output, f32(8, 3, 5, 3), { stride: 2, padding: 1, outputPadding: 1 }).shape)
      .toEqual(image.shape);
  });
});

describe("an impossible convolution is refused with its sizes", () => {
  function refusal(image: Shape, weight: Shape, options = {}): () => unknown {
    return () => conv2d(f32(...image), f32(...weight), options);
  }

  test("OP-03 channels that do not fit", () => {
    expect(refusal([1, 3, 8, 8], [4, 2, 3, 3])).toThrow(
      "conv2d: input [1, 3, 8, 8] and weights [4, 2, 3, 3] do not fit in 1 group: the weights are for 2 input channels",
    );
    expect(refusal([1, 4, 8, 8], [3, 2, 3, 3], { groups: 2 })).toThrow("do not fit in 2 groups");
  });

  test("OP-03 a kernel that is larger than the input", () => {
    expect(refusal([1, 1, 4, 8], [1, 1, 5, 3])).toThrow(
      "conv2d: a window of 5 rows is larger than the input's 4, zeros counted; use a smaller kernel or more padding",
    );
  });

  test("OP-03 too few axes, another dtype, invalid numbers", () => {
    expect(() => conv2d(f32(3, 8, 8), f32(1, 3, 3, 3))).toThrow(
      "conv2d: takes input of shape [batch, channels, rows, columns], found [3, 8, 8]; reshape it",
    );
    expect(() => conv2d(input("x", "i32", [1, 1, 8, 8]), f32(1, 1, 3, 3))).toThrow(
      "conv2d: takes f32, not i32",
    );
    expect(refusal([1, 1, 8, 8], [1, 1, 3, 3], { stride: 0 })).toThrow(
      "conv2d: stride is a whole number from 1, found 0",
    );
    expect(refusal([1, 1, 8, 8], [1, 1, 3, 3], { padding: -1 })).toThrow(
      "conv2d: padding is a whole number from 0, found -1",
    );
    expect(refusal([1, 1, 8, 8], [1, 1, 3, 3], { padding: "full" })).toThrow(
      'conv2d: padding "full" is none',
    );
    expect(refusal([1, 1, 8, 8], [1, 1, 0, 3])).toThrow(
      "conv2d: a kernel has at least one row and one column",
    );
  });

  test("OP-03 an output padding that another stride would have given", () => {
    expect(() => convTranspose2d(f32(1, 1, 3, 3), f32(1, 1, 3, 3), { stride: 2, outputPadding: 2 })).toThrow(
      "convTranspose2d: outputPadding is less than the stride or the dilation, found 2 with stride 2 and dilation 1",
    );
    expect(() => convTranspose2d(f32(1, 1, 1, 1), f32(1, 1, 1, 1), { padding: 1 })).toThrow(
      "use less padding",
    );
  });
});
