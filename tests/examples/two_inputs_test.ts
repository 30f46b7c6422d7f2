import { expect, test } from "bun:test";
import { pairsOf } from "../../examples/two_inputs/pairs.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";

test("pairs of digits are each with another one, labelled by the larger and the sum, and the same each time", () => {
  const count = 50;
  const digits = Uint32Array.from({ length: count }, (_, row) => row % 10);
  // Each picture has the number of its digit in every pixel.
  const pixels = Float32Array.from({ length: count * 784 }, (_, at) => digits[Math.floor(at / 784)] ?? NaN);
  const map = pairsOf({
    inputs: HostTensor.from(pixels, [count, 784]),
    labels: HostTensor.from(digits, [count]),
  }, 3 * count);
  const signal = new AbortController().signal;
  const pairs = Array.from({ length: map.length }, (_, index) => {
    const { inputs, labels } = map.get(index, { signal }) as unknown as {
      inputs: { left: Float32Array; right: Float32Array };
      labels: { larger: Uint8Array; sum: Float32Array };
    };
    const [a = NaN, b = NaN] = [inputs.left[0], inputs.right[0]];
    expect([labels.larger[0], labels.sum[0]]).toEqual([a > b ? 0 : b > a ? 1 : 2, a + b]);
    return `${a} ${b}`;
  });
  expect(new Set(pairs).size).toBeGreaterThan(20);
  expect(Array.from({ length: map.length }, (_, index) => {
    const { left, right } = (map.get(index, { signal }) as unknown as {
      inputs: { left: Float32Array; right: Float32Array };
    }).inputs;
    return `${left[0]} ${right[0]}`;
  })).toEqual(pairs);
});
