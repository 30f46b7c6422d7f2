import { DataLoader, nn, optim, type TensorStore, Trainer } from "@cairn-ml/cairn";
import type { Precision } from "@cairn-ml/cairn/train";
import type { Digits } from "../digits/digits.ts";
import { fiveDigits } from "./digits_of.ts";
import { digitReader } from "./pretrain.ts";

/** The low rank by which a layer is changed. */
export const ADAPTER = { rank: 8, alpha: 16 } as const;

/** The network with frozen convolutions and an adapted layer, on the digits 5 to 9. */
export function finetuneTrainer(
  store: TensorStore,
  { training, heldOut }: Digits,
  { steps, precision }: { steps: number; precision: Precision },
): Trainer {
  return new Trainer(store, {
    model: digitReader(nn.frozen, (layer) => nn.lora(layer, ADAPTER)),
    loss: nn.crossEntropy(),
    optimizer: optim.adamw({ learningRate: optim.cosineDecay(1e-2, steps) }),
    data: DataLoader.from(fiveDigits(training, 5), { batchSize: 64, shuffle: true }),
    validation: DataLoader.from(fiveDigits(heldOut, 5), { batchSize: 250 }),
    precision,
    seed: 2,
  });
}
