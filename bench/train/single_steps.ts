/** A training step of a job, one at a time. */
import process from "node:process";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import * as nn from "../../src/nn/nn.ts";
import * as optim from "../../src/nn/optim/optim.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { TrainStep } from "../../src/train/loop/train_step.ts";
import { type JobSpec, ROWS, type TrainingJob } from "./jobs.ts";
import { modelOf } from "./models.ts";

/** The first job of a kind. */
export function jobOf<Kind extends TrainingJob["kind"]>(kind: Kind): TrainingJob & { readonly kind: Kind } {
  const isIt = (spec: JobSpec): spec is TrainingJob & { readonly kind: Kind } => spec.kind === kind;
  const found = ROWS.map(({ spec }) => spec).find(isIt);
  if (found === undefined) throw new Error(`no job ${kind}`);
  return found;
}

/** Compiled, with a function that does a step and waits until the GPU has done it. */
export async function singleSteps(
  gpu: GpuDevice,
  job: TrainingJob,
): Promise<{ readonly step: TrainStep; readonly run: () => Promise<void> }> {
  const { model, batch: { inputs, labels } } = modelOf(job);
  const step = await TrainStep.compile(TensorStore.on(gpu), {
    model,
    loss: nn.crossEntropy(),
    optimizer: optim.adam({ learningRate: job.learningRate }),
    inputs: { dtype: inputs.dtype, shape: inputs.shape.slice(1) },
    labels: { dtype: labels.dtype, shape: labels.shape.slice(1) },
    batchSize: job.batch,
  });
  const batch = { inputs: inputs.toArray(), labels: labels.toArray() };
  const run = async (): Promise<void> => {
    await step.run(batch);
    await gpu.idle();
  };
  return { step, run };
}

/** The value of `--name=`. */
export function option(name: string): string | undefined {
  return process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3);
}

/** A device as `--provider=` says, or the runtime's own. */
export function providerOption(): { readonly provider?: "dawn" | "native" } {
  const provider = option("provider");
  return provider === "dawn" || provider === "native" ? { provider } : {};
}
