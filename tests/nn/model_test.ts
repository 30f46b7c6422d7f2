import { describe, expect } from "bun:test";
import { full } from "../../src/graph/ops/fill.ts";
import { type Layer, linear, Model, sequential, zeros } from "../../src/nn/nn.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";

const INPUT = { dtype: "f32", shape: [4] } as const;

describe("Model", () => {
  gpuTest("gives its parameters places in the store, in the order of the layers", async (gpu) => {
    const store = TensorStore.on(gpu);
    const model = Model.define(store, sequential(linear(4, 3), linear(3, 2)), INPUT, 8);
    expect(store.tensors().map(({ name, shape }) => [name, shape])).toEqual([
      ["model.0.weight", [3, 4]],
      ["model.0.bias", [3]],
      ["model.1.weight", [2, 3]],
      ["model.1.bias", [2]],
    ]);
    expect(model.rangeOf("1.bias")).toBe(store.tensor("model.1.bias").range);
    expect(model.trace(5, false).output.shape).toEqual([5, 2]);
    await store.close();
  });

  gpuTest("a layer that asks for other parameters in evaluation is refused by name", async (gpu) => {
    const store = TensorStore.on(gpu);
    const fickle: Layer = (x, scope) => linear(4, scope.isTraining ? 3 : 2)(x, scope);
    const model = Model.define(store, fickle, INPUT, 8);
    expect(() => model.trace(8, false)).toThrow(
      'The model asks for parameter "weight" [2, 4], but its first trace has it as [3, 4]',
    );
    await store.close();
    const other = TensorStore.on(gpu);
    const growing: Layer = (x, scope) =>
      linear(4, 4)(linear(4, 4)(x, scope), scope.child(scope.isTraining ? "a" : "b"));
    const grown = Model.define(other, growing, INPUT, 8);
    expect(() => grown.trace(8, false)).toThrow("its first trace has no such parameter");
    await other.close();
  });

  gpuTest("an initializer of another shape is refused by the parameter's name", async (gpu) => {
    const store = TensorStore.on(gpu);
    const layer = linear(4, 2, { weightInitializer: () => full([3], 1), biasInitializer: zeros() });
    const model = Model.define(store, layer, INPUT, 8);
    expect((await thrownBy(() => model.initialize(1))).message).toBe(
      'The initializer of "weight" gives f32 [3], expected f32 [2, 4]',
    );
    await store.close();
  });
});
