import { nn, ops, optim, type TensorStore, type Value } from "@cairn-ml/cairn";
import { type Precision, TrainStep } from "@cairn-ml/cairn/train";
import { ringData } from "./ring.ts";

/** Numbers that the painter makes a point of. */
export const NOISE = 2;
const [WIDTH, PACK, BATCH] = [64, 2, 256];

export const painter: nn.Layer = nn.sequential(
  nn.linear(NOISE, WIDTH),
  nn.relu(),
  nn.linear(WIDTH, WIDTH),
  nn.relu(),
  nn.linear(WIDTH, 2),
);
// It looks at two points at a time, and so sees whether they are in different groups as often as real ones.
const critic = nn.sequential(
  (points) => ops.reshape(points, [-1, 2 * PACK]),
  nn.linear(2 * PACK, WIDTH),
  nn.leakyRelu({ negativeSlope: 0.2 }),
  nn.linear(WIDTH, WIDTH),
  nn.leakyRelu({ negativeSlope: 0.2 }),
  nn.linear(WIDTH, 1),
);
const noiseFor = (real: Value, scope: nn.Scope): Value =>
  ops.randomNormal([real.shape[0] ?? 0, NOISE], { stream: scope.randomStream(), perExample: true });
/** The verdict on two points as one for each of them. */
const each = (verdict: Value): Value => ops.reshape(ops.tile(verdict, [1, PACK]), [-1]);

/** A painter and a critic in one store, each of which is trained by the other. */
export interface GanSteps {
  critics: TrainStep<Value, Verdicts>;
  painters: TrainStep;
  /** A step of both, on the batch that is next. */
  run(): Promise<void>;
  close(): Promise<void>;
}

/** What the critic says of real points and of painted ones. */
interface Verdicts extends Record<string, Value> {
  real: Value;
  painted: Value;
}

export async function ganSteps(
  store: TensorStore,
  { steps, rate, precision }: { steps: number; rate: number; precision: Precision },
): Promise<GanSteps> {
  const data = ringData(BATCH);
  const optimizer = optim.adam({ learningRate: optim.cosineDecay(rate, steps), beta1: 0 });
  const common = { inputs: data.inputs, labels: data.labels, batchSize: BATCH, optimizer, precision };
  const critics = TrainStep.define(store, {
    ...common,
    name: "critic",
    model: (real: Value, scope): Verdicts => {
      const painted = nn.frozen(painter, { of: "painter" })(noiseFor(real, scope), scope);
      return { real: critic(real, scope), painted: critic(painted, scope) };
    },
    loss: ({ real, painted }) => ops.add(ops.softplus(ops.neg(each(real))), ops.softplus(each(painted))),
    seed: 1,
  });
  const painters = TrainStep.define(store, {
    ...common,
    name: "painter",
    model: (real, scope) => nn.frozen(critic, { of: "critic" })(painter(noiseFor(real, scope), scope), scope),
    loss: (verdict) => ops.softplus(ops.neg(each(verdict))),
    seed: 2,
  });
  await critics.compile();
  await painters.compile();
  const perEpoch = data.exampleCount / BATCH;
  const run = async (): Promise<void> => {
    const { step } = painters;
    const batch = data.batchAt({ seed: 0, epoch: Math.floor(step / perEpoch), position: step % perEpoch });
    await critics.run(batch);
    await painters.run(batch);
  };
  const close = async (): Promise<void> => (await critics.close(), await painters.close());
  return { critics, painters, run, close };
}
