import { nn, optim, type TensorStore, Trainer } from "@cairn-ml/cairn";
import { MapLoader, tokenWindows } from "@cairn-ml/cairn/data";
import type { Precision } from "@cairn-ml/cairn/train";
import { characterModel, CONTEXT } from "./model.ts";
import type { EncodedText } from "./text.ts";

/** The transformer of `model.ts` on windows of a text, each character of which is to be told from those before it. */
export async function languageTrainer(
  store: TensorStore,
  { alphabet, training, heldOut }: EncodedText,
  { steps, precision, seed = 1 }: { steps: number; precision: Precision; seed?: number },
): Promise<Trainer> {
  const windows = { length: CONTEXT };
  return new Trainer(store, {
    model: characterModel(alphabet.length),
    loss: nn.crossEntropy(),
    optimizer: optim.adamw({
      learningRate: optim.linearWarmup(10, optim.cosineDecay(4e-3, steps)),
      weightDecay: 0.1,
      decayBiasesAndNorms: false,
    }),
    data: await MapLoader.open(tokenWindows(training, windows), { batchSize: 16, shuffle: true }),
    validation: await MapLoader.open(tokenWindows(heldOut, windows), { batchSize: 64 }),
    precision,
    seed,
  });
}
