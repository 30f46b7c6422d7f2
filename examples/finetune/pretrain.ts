import { DataLoader, nn, ops, optim, TensorStore, Trainer } from "@cairn-ml/cairn";
import { saveSafetensors } from "@cairn-ml/cairn/exchange";
import { FileStorage } from "@cairn-ml/cairn/storage";
import type { LabelledDigits } from "../digits/digits.ts";

/** How the names that a module of PyTorch has for its layers become the numbers of those of a sequential model. */
export const NAMES = [
  { from: "conv1.*", to: "1.*" },
  { from: "conv2.*", to: "4.*" },
  { from: "fc.*", to: "8.*" },
  { from: "head.*", to: "10.*" },
] as const;

/** The network of those weights; `frozen` and `adapted` say what becomes of a layer that is not trained as a whole. */
export function digitReader(
  frozen: (layer: nn.Layer) => nn.Layer = (layer) => layer,
  adapted: (layer: nn.Layer) => nn.Layer = (layer) => layer,
): nn.Layer {
  return nn.sequential(
    (rows) => ops.reshape(rows, [-1, 1, 28, 28]),
    frozen(nn.conv2d(1, 8, 5)),
    nn.relu(),
    nn.maxPool2d(2),
    frozen(nn.conv2d(8, 16, 5)),
    nn.relu(),
    nn.maxPool2d(2),
    nn.flatten(),
    adapted(nn.linear(16 * 4 * 4, 64)),
    nn.relu(),
    nn.linear(64, 5),
  );
}

/** Trains it on some digits, and writes its weights as PyTorch would name them. */
export async function pretrain(
  digits: LabelledDigits,
  steps: number,
  folder: string,
  file: string,
): Promise<void> {
  const store = await TensorStore.open();
  const trainer = new Trainer(store, {
    model: digitReader(),
    loss: nn.crossEntropy(),
    optimizer: optim.adamw({ learningRate: optim.cosineDecay(2e-3, steps) }),
    data: DataLoader.from(digits, { batchSize: 64, shuffle: true }),
    seed: 1,
  });
  await trainer.train({ steps, progress: false });
  const own = await store.read(store.group("model").tensors.map(({ name }) => name));
  const weights = Object.fromEntries([...own].map(([name, tensor]) => [torchName(name), tensor]));
  await saveSafetensors(await FileStorage.open(folder), file, weights, { overwrite: true });
  await trainer.close();
  await store.close();
}

/** `conv1.weight` for `model.1.weight`. */
export function torchName(name: string): string {
  for (const { from, to } of NAMES) {
    const start = `model.${to.slice(0, -1)}`;
    if (name.startsWith(start)) return from.slice(0, -1) + name.slice(start.length);
  }
  throw new Error(`"${name}" is of no layer that has a name in PyTorch`);
}
