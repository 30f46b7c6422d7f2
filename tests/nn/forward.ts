import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { Executable } from "../../src/graph/executable.ts";
import { type Layer, Model, zeros } from "../../src/nn/nn.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";

/** What {@link forward} may be told. */
export interface ForwardOptions {
  readonly isTraining?: boolean;
  readonly seed?: number;
  readonly step?: number;
  /** Values of parameters by name; the others are as they were initialised. */
  readonly parameters?: Readonly<Record<string, HostTensor>>;
}

/** The output of `layer` for `x` on the GPU. */
export async function forward(
  gpu: GpuDevice,
  layer: Layer,
  x: HostTensor,
  options: ForwardOptions = {},
): Promise<number[]> {
  const { isTraining = false, seed = 1, step = 0, parameters = {} } = options;
  const [batch = 0, ...shape] = x.shape;
  const store = TensorStore.on(gpu);
  // A model needs a parameter, which a layer without one has not.
  const withParameter: Layer = (value, scope) => {
    scope.parameter("spare", [1], zeros());
    return layer(value, scope);
  };
  const model = Model.define(store, withParameter, { dtype: x.dtype, shape }, batch);
  await model.initialize(seed);
  store.write(
    Object.fromEntries(Object.entries(parameters).map(([name, value]) => [`model.${name}`, value])),
  );
  const trace = model.trace(batch, isTraining);
  const executable = await Executable.compile(gpu, {
    inputs: [trace.input],
    outputs: { output: trace.output },
    parameters: (name) => model.rangeOf(name),
  });
  executable.run({ inputs: x }, { seed, step, values: [] });
  const [output] = await executable.read("output");
  executable.close();
  await store.close();
  return Array.from(output?.toArray() as Float32Array);
}
