import { DataLoader, type HostTensor, nn, optim, type TensorStore, Trainer } from "@cairn-ml/cairn";
import type { Precision } from "@cairn-ml/cairn/train";
import type { Digits } from "../digits/digits.ts";

export const PIXELS = 784;
/** What a digit is between its way there and its way back. */
export const NUMBERS = 16;

/** What comes out is compared with what went in. */
const both = ({ inputs }: { inputs: HostTensor }) => ({ inputs, labels: inputs });

/** Digits through a few numbers and back. */
export function autoencoderTrainer(
  store: TensorStore,
  { training, heldOut }: Digits,
  { steps, precision }: { steps: number; precision: Precision },
): Trainer {
  return new Trainer(store, {
    model: nn.sequential(
      nn.linear(PIXELS, 256),
      nn.relu(),
      nn.linear(256, NUMBERS),
      nn.linear(NUMBERS, 256),
      nn.relu(),
      nn.linear(256, PIXELS),
    ),
    loss: nn.mse(),
    optimizer: optim.adamw({ learningRate: optim.cosineDecay(2e-3, steps), weightDecay: 0 }),
    data: DataLoader.from(both(training), { batchSize: 64, shuffle: true }),
    validation: DataLoader.from(both(heldOut), { batchSize: 250 }),
    precision,
    seed: 1,
  });
}
