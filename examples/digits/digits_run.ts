import { DataLoader, nn, optim, type TrainerOptions } from "@cairn-ml/cairn";
import type { Precision } from "@cairn-ml/cairn/train";
import { loadDigits } from "./digits.ts";

export const EPOCHS = 8;

/** What the demo trains: two hidden layers with dropout, on 8,000 digits, measured on 2,000 others. */
export async function digitsRun(seed: number, precision: Precision = "f32"): Promise<TrainerOptions> {
  const { training, heldOut } = await loadDigits(seed);
  return {
    model: nn.sequential(
      nn.sequential(nn.linear(784, 256), nn.relu(), nn.dropout(0.2)),
      nn.sequential(nn.linear(256, 128), nn.relu(), nn.dropout(0.2)),
      nn.linear(128, 10),
    ),
    loss: nn.crossEntropy(),
    optimizer: optim.adamw({ learningRate: optim.cosineDecay(2e-3, 125 * EPOCHS), weightDecay: 0.1 }),
    data: DataLoader.from(training, { batchSize: 64, shuffle: true }),
    validation: DataLoader.from(heldOut, { batchSize: 500 }),
    precision,
    seed,
  };
}
