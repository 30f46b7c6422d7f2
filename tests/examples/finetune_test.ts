import { describe, expect, test } from "bun:test";
import { fiveDigits } from "../../examples/finetune/digits_of.ts";
import { merged } from "../../examples/finetune/merge.ts";
import { torchName } from "../../examples/finetune/pretrain.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";

describe("the example finetune", () => {
  test("takes five digits of all, with labels from 0", () => {
    const inputs = HostTensor.from([[0, 1], [2, 3], [4, 5], [6, 7]]);
    const labels = HostTensor.from(Uint32Array.of(9, 4, 5, 0));
    const high = fiveDigits({ inputs, labels }, 5);
    expect([[...high.inputs.toArray()], high.inputs.shape]).toEqual([[0, 1, 4, 5], [2, 2]]);
    expect([...high.labels.toArray()]).toEqual([4, 0]);
    expect([...fiveDigits({ inputs, labels }, 0).labels.toArray()]).toEqual([4, 0]);
  });

  test("adds what LoRA has learned to the weight", () => {
    const weight = HostTensor.from([[1, 2, 3], [4, 5, 6]]);
    const a = HostTensor.from([[1, 0, -1], [0, 2, 0]]);
    const b = HostTensor.from([[1, 0], [3, 0.5]]);
    // alpha / rank is 2, and B A is [[1, 0, -1], [3, 1, -3]].
    expect([...merged(weight, a, b, 4).toArray()]).toEqual([3, 2, 1, 10, 7, 0]);
  });

  test("has a name of PyTorch for every weight, and for no other", () => {
    expect(torchName("model.1.weight")).toBe("conv1.weight");
    expect(torchName("model.10.bias")).toBe("head.bias");
    expect(() => torchName("model.7.weight")).toThrow("model.7.weight");
  });
});
