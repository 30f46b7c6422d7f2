import { nn, ops, optim, type TensorStore, Trainer, type Value } from "@cairn-ml/cairn";
import { MapLoader } from "@cairn-ml/cairn/data";
import type { Precision } from "@cairn-ml/cairn/train";
import type { Digits } from "../digits/digits.ts";
import { pairsOf } from "./pairs.ts";

/** Two pictures. */
interface Pair extends Record<string, Value> {
  left: Value;
  right: Value;
}

/** Scores for which of them shows the larger digit, and what both add up to. */
interface Verdict extends Record<string, Value> {
  larger: Value;
  sum: Value;
}

/** A network that looks at both pictures with the same weights, and says two things of what it has seen. */
export async function twoInputsTrainer(
  store: TensorStore,
  { training, heldOut }: Digits,
  { steps, precision }: { steps: number; precision: Precision },
): Promise<Trainer<Pair, Verdict, Verdict>> {
  // Called for both pictures, it has the same weights for both.
  const look = nn.sequential(nn.linear(784, 256), nn.relu(), nn.dropout(0.2), nn.linear(256, 64), nn.relu());
  const compare = nn.sequential(nn.linear(128, 64), nn.relu(), nn.linear(64, 3));
  const add = nn.sequential(nn.linear(128, 64), nn.relu(), nn.linear(64, 1));
  return new Trainer(store, {
    model({ left, right }: Pair, scope): Verdict {
      const eye = scope.child("look");
      const seen = ops.concat([look(left, eye), look(right, eye)], { axis: 1 });
      return { larger: compare(seen, scope.child("compare")), sum: add(seen, scope.child("add")) };
    },
    loss: nn.lossByOutput({ larger: nn.crossEntropy(), sum: nn.huber() }, { factors: { sum: 0.5 } }),
    metrics: nn.metricsByOutput({ larger: { right: nn.accuracy() }, sum: { off: nn.mae() } }),
    optimizer: optim.adamw({ learningRate: optim.cosineDecay(3e-3, steps), weightDecay: 0.01 }),
    data: await MapLoader.open(pairsOf(training, 40_000), { batchSize: 128, shuffle: true }),
    validation: await MapLoader.open(pairsOf(heldOut, 4000), { batchSize: 250 }),
    precision,
    seed: 1,
  });
}
