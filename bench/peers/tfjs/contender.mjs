// TensorFlow.js with its WebGPU backend, by its own optimiser.
import process from "node:process";
import { numbers, provideWebGpu, samplePlaces, serve } from "../contender.mjs";

await provideWebGpu(process.argv[2]);
const { default: tf } = await import("@tensorflow/tfjs");
await import("@tensorflow/tfjs-backend-webgpu");
const isOnGpu = await tf.setBackend("webgpu");
if (isOnGpu) await tf.ready();

await serve(async (job) => {
  if (!isOnGpu) throw new Error("TensorFlow.js has no WebGPU here");
  const jobs = { matmul: matmulJob, mlp: mlpJob, lstm: lstmJob };
  return await jobs[job.kind](job);
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

async function mlpJob({ sizes, batch, learningRate, steps }) {
  const layers = sizes.slice(1).map((size, index) => [sizes[index], size]);
  const parameters = layers.flatMap(([inputs, outputs], index) => [
    tf.variable(firstWeights(index, inputs, outputs)),
    tf.variable(tf.zeros([outputs])),
  ]);
  const output = (x) => {
    let h = x;
    for (let index = 0; index < layers.length; index++) {
      h = tf.add(tf.matMul(h, parameters[2 * index]), parameters[2 * index + 1]);
      if (index < layers.length - 1) h = tf.relu(h);
    }
    return h;
  };
  return await trainingJob(output, parameters, [batch, sizes[0]], sizes.at(-1), learningRate, steps);
}

async function lstmJob({ inputs, hidden, time, classes, batch, learningRate, steps }) {
  const lstm = tf.layers.lstm({ units: hidden, useBias: false, recurrentActivation: "sigmoid" });
  // It makes its weights when it is first called.
  tf.tidy(() => lstm.apply(tf.zeros([batch, time, inputs])));
  lstm.setWeights([firstWeights(0, inputs, 4 * hidden), firstWeights(1, hidden, 4 * hidden)]);
  const dense = [tf.variable(firstWeights(2, hidden, classes)), tf.variable(tf.zeros([classes]))];
  const output = (x) => tf.add(tf.matMul(lstm.apply(x), dense[0]), dense[1]);
  const parameters = [...lstm.trainableWeights.map((weight) => weight.val), ...dense];
  return await trainingJob(output, parameters, [batch, time, inputs], classes, learningRate, steps);
}

/** The first weights of layer `index`, `[inputs, outputs]`. */
function firstWeights(index, inputs, outputs) {
  return tf.tidy(() =>
    tf.transpose(
      tf.mul(tf.tensor2d(numbers(inputs * outputs, index), [outputs, inputs]), 2 / Math.sqrt(inputs)),
    )
  );
}

/** Adam on the mean cross-entropy of one batch. The last but one of the parameters is the last layer's weight. */
async function trainingJob(output, parameters, shape, classes, learningRate, steps) {
  const [batch] = shape;
  const x = tf.tensor(numbers(shape.reduce((count, size) => count * size), 100), shape);
  const labels = Int32Array.from({ length: batch }, (_, row) => row % classes);
  const y = tf.cast(tf.oneHot(tf.tensor1d(labels, "int32"), classes), "float32");
  const loss = () => tf.losses.softmaxCrossEntropy(y, output(x));
  const optimizer = tf.train.adam(learningRate, 0.9, 0.999, 1e-8);
  const run = async (repetitions) => {
    for (let step = 0; step < repetitions * steps; step++) {
      optimizer.minimize(loss, false, parameters);
    }
    await finish();
  };
  await run(1);
  return {
    run,
    results: async () => {
      const copy = tf.mul(parameters.at(-2), 1);
      const values = [...await copy.data()];
      copy.dispose();
      return values;
    },
  };
}
