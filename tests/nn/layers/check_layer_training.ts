import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { type Layer, mse } from "../../../src/nn/nn.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { elementCount } from "../../../src/tensor/shape.ts";
import { numbers } from "../../train/fixtures.ts";
import type { Parameters } from "./check_layer.ts";
import { checkTraining } from "./check_training.ts";

/** A layer that is trained by itself, and what it is compared with. */
export interface LayerTraining {
  readonly layer: Layer;
  /** The batch counts. */
  readonly shape: readonly number[];
  readonly outputShape: readonly number[];
  /** The output in float64, row by row as it lies in memory. */
  readonly reference: (x: readonly number[], parameters: Parameters) => readonly number[];
  /** Parameters that are to stay what they are. */
  readonly frozen?: readonly string[];
}

/** Trains a layer for 20 steps on the mean squared error of random numbers, as {@link checkTraining} does. */
export async function checkLayerTraining(gpu: GpuDevice, training: LayerTraining): Promise<void> {
  const { layer, shape, outputShape, reference, frozen = [] } = training;
  const random = numbers(23);
  const draw = (of: readonly number[]): Float32Array =>
    Float32Array.from({ length: elementCount(of) }, () => 2 * random() - 1);
  const [x, labels] = [draw(shape), draw(outputShape)];
  let kept: Parameters | undefined;
  await checkTraining(gpu, {
    model: layer,
    loss: mse(),
    inputs: HostTensor.from(x, shape),
    labels: HostTensor.from(labels, outputShape),
    learningRate: 0.05,
    reference: (parameters) => {
      kept ??= Object.fromEntries(frozen.map((name) => [name, parameters[name] ?? []]));
      const output = reference(Array.from(x), { ...parameters, ...kept });
      return output.reduce((sum, y, at) => sum + (y - (labels[at] ?? NaN)) ** 2, 0) / output.length;
    },
  });
}
