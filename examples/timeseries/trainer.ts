import { DataLoader, nn, optim, type TensorStore, Trainer } from "@cairn-ml/cairn";
import type { Precision } from "@cairn-ml/cairn/train";
import { windows } from "./series.ts";

/** Hours that the network sees before it says the next one. */
export const WINDOW = 48;
const HIDDEN = 32;

/** An LSTM over the hours of `past`, measured on those of `future`. */
export function timeseriesTrainer(
  store: TensorStore,
  { past, future }: { past: Float32Array; future: Float32Array },
  { steps, precision }: { steps: number; precision: Precision },
): Trainer {
  return new Trainer(store, {
    model: nn.sequential(nn.lstm(1, HIDDEN, { returns: "last" }), nn.linear(HIDDEN, 1)),
    loss: nn.mse(),
    optimizer: optim.adamw({ learningRate: optim.cosineDecay(1e-2, steps) }),
    clipGradients: { norm: 1 },
    data: DataLoader.from(windows(past, WINDOW), { batchSize: 32, shuffle: true }),
    validation: DataLoader.from(windows(future, WINDOW), { batchSize: 250 }),
    metrics: { rmse: nn.rmse() },
    precision,
    seed: 1,
  });
}
