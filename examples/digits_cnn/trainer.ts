import { DataLoader, nn, ops, optim, type TensorStore, Trainer } from "@cairn-ml/cairn";
import type { Precision } from "@cairn-ml/cairn/train";
import type { Digits } from "../digits/digits.ts";

/** What is trained: two convolutions, and a linear layer that reads what they find. */
export function digitsCnnTrainer(
  store: TensorStore,
  { training, heldOut }: Digits,
  { steps, precision, seed = 1 }: { steps: number; precision: Precision; seed?: number },
): Trainer {
  return new Trainer(store, {
    model: nn.sequential(
      (rows) => ops.reshape(rows, [-1, 1, 28, 28]), // 784 numbers are a picture of one channel
      nn.conv2d(1, 12, 5),
      nn.relu(),
      nn.maxPool2d(2),
      nn.conv2d(12, 24, 5),
      nn.relu(),
      nn.maxPool2d(2),
      nn.flatten(),
      nn.dropout(0.4),
      nn.linear(24 * 4 * 4, 10),
    ),
    loss: nn.crossEntropy(),
    optimizer: optim.adamw({ learningRate: optim.cosineDecay(3e-3, steps), weightDecay: 0.05 }),
    data: DataLoader.from(training, { batchSize: 64, shuffle: true }),
    validation: DataLoader.from(heldOut, { batchSize: 250 }),
    precision,
    seed,
  });
}
