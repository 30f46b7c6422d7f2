// TensorFlow.js with its WebGPU backend, by its own optimiser.
import process from "node:process";
import { numbers, provideWebGpu, samplePlaces, serve } from "../contender.mjs";
import { modelOf } from "./models.mjs";

await provideWebGpu(process.argv[2]);
const { default: tf } = await import("@tensorflow/tfjs");
await import("@tensorflow/tfjs-backend-webgpu");
const isOnGpu = await tf.setBackend("webgpu");
if (isOnGpu) await tf.ready();

await serve(async (job) => {
  if (!isOnGpu) throw new Error("TensorFlow.js has no WebGPU here");
  return job.kind === "matmul" ? await matmulJob(job) : await trainingJob(job);
});

/** Sends what is waiting, and waits until the GPU is done. */
async function finish() {
  const backend = tf.backend();
  // It submits by itself after some commands, and then there is nothing left.
  if (backend.commandEncoder !== null) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  await backend.device.queue.onSubmittedWorkDone();
}

async function matmulJob({ m, n, k, transposeA, transposeB }) {
  const a = tf.tensor2d(numbers(m * k, 1), transposeA ? [k, m] : [m, k]);
  const b = tf.tensor2d(numbers(k * n, 2), transposeB ? [n, k] : [k, n]);
  let last;
  const run = async (repetitions) => {
    for (let repetition = 0; repetition < repetitions; repetition++) {
      last?.dispose();
      last = tf.matMul(a, b, transposeA, transposeB);
    }
    await finish();
  };
  await run(1);
  return {
    run,
    results: async () => {
      // What was read once is kept on the host, so that a copy is read.
      const copy = tf.mul(last, 1);
      const values = await copy.data();
      copy.dispose();
      return samplePlaces(values.length).map((place) => values[place]);
    },
  };
}

/** Adam on the mean cross-entropy of one batch. */
async function trainingJob(job) {
  const { parameters, loss, resultOf } = modelOf(tf, job);
  const optimizer = tf.train.adam(job.learningRate, 0.9, 0.999, 1e-8);
  const run = async (repetitions) => {
    for (let step = 0; step < repetitions * job.steps; step++) {
      optimizer.minimize(loss, false, parameters);
    }
    await finish();
  };
  await run(1);
  return {
    run,
    results: async () => {
      // What was read once is kept on the host, so that a copy is read.
      const copy = tf.tidy(() => tf.mul(resultOf(parameters), 1));
      const values = [...await copy.data()];
      copy.dispose();
      return values;
    },
  };
}
