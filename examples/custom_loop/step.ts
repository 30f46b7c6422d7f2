import { nn, optim, type TensorStore } from "@cairn-ml/cairn";
import { type Precision, TrainStep } from "@cairn-ml/cairn/train";

export const BATCH = 128;

/** What the loop does again and again, to a network that tells two spirals apart. */
export async function spiralStep(store: TensorStore, precision: Precision): Promise<TrainStep> {
  return await TrainStep.compile(store, {
    model: nn.sequential(nn.linear(2, 64), nn.tanh(), nn.linear(64, 64), nn.tanh(), nn.linear(64, 2)),
    loss: nn.crossEntropy(),
    optimizer: optim.adam({ learningRate: 3e-3 }),
    inputs: { dtype: "f32", shape: [2] },
    labels: { dtype: "u32", shape: [] },
    batchSize: BATCH,
    precision,
    seed: 1,
  });
}
