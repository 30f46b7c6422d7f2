// What is trained, as TensorFlow.js has it: parameters, and the loss of one batch. Images are NHWC and weights HWIO,
// for which its kernels are made.
import { numbers } from "../contender.mjs";
import { transformerLoss } from "./transformer.mjs";

/** The model of a job. `resultOf` gives what is compared of the trained parameters. */
export function modelOf(tf, job) {
  switch (job.kind) {
    case "mlp":
      return mlp(tf, job);
    case "lstm":
      return lstm(tf, job);
    case "cnn":
      return cnn(tf, job);
    case "transformer":
      return transformer(tf, job);
    default:
      throw new Error(`no model ${job.kind}`);
  }
}

/** The labels `place % classes` as rows with a 1. */
function oneHotLabels(tf, count, classes) {
  const labels = Int32Array.from({ length: count }, (_, place) => place % classes);
  return tf.cast(tf.oneHot(tf.tensor1d(labels, "int32"), classes), "float32");
}

/** The first weights of layer `index`, `[inputs, outputs]`. */
function firstWeights(tf, index, inputs, outputs) {
  return tf.tidy(() =>
    tf.transpose(
      tf.mul(tf.tensor2d(numbers(inputs * outputs, index), [outputs, inputs]), 2 / Math.sqrt(inputs)),
    )
  );
}

function mlp(tf, { sizes, batch }) {
  const layers = sizes.slice(1).map((size, index) => [sizes[index], size]);
  const x = tf.tensor2d(numbers(batch * sizes[0], 100), [batch, sizes[0]]);
  const y = oneHotLabels(tf, batch, sizes.at(-1));
  const parameters = layers.flatMap(([inputs, outputs], index) => [
    tf.variable(firstWeights(tf, index, inputs, outputs)),
    tf.variable(tf.zeros([outputs])),
  ]);
  const loss = () => {
    let h = x;
    for (let index = 0; index < layers.length; index++) {
      h = tf.add(tf.matMul(h, parameters[2 * index]), parameters[2 * index + 1]);
      if (index < layers.length - 1) h = tf.relu(h);
    }
    return tf.losses.softmaxCrossEntropy(y, h);
  };
  return { parameters, loss, resultOf: () => parameters.at(-2) };
}

function lstm(tf, { inputs, hidden, time, classes, batch }) {
  const x = tf.tensor(numbers(batch * time * inputs, 100), [batch, time, inputs]);
  const y = oneHotLabels(tf, batch, classes);
  const layer = tf.layers.lstm({ units: hidden, useBias: false, recurrentActivation: "sigmoid" });
  // It makes its weights when it is first called.
  tf.tidy(() => layer.apply(tf.zeros([batch, time, inputs])));
  layer.setWeights([firstWeights(tf, 0, inputs, 4 * hidden), firstWeights(tf, 1, hidden, 4 * hidden)]);
  const [weight, bias] = [
    tf.variable(firstWeights(tf, 2, hidden, classes)),
    tf.variable(tf.zeros([classes])),
  ];
  const loss = () => tf.losses.softmaxCrossEntropy(y, tf.add(tf.matMul(layer.apply(x), weight), bias));
  const parameters = [...layer.trainableWeights.map(({ val }) => val), weight, bias];
  // The weight of the gates that the state goes through.
  return { parameters, loss, resultOf: () => parameters[1] };
}

/** The first value of parameter `index`, by the rule that is in jobs.ts. */
function firstValue(tf, { shape, first }, index) {
  if (first === "zeros") return tf.zeros(shape);
  if (first === "ones") return tf.ones(shape);
  const count = shape.reduce((product, size) => product * size, 1);
  return tf.mul(tf.tensor(numbers(count, index), shape), first);
}

function cnn(tf, { batch, parameters: list }) {
  const x = tf.tensor4d(numbers(batch * 784, 100), [batch, 28, 28, 1]);
  const y = oneHotLabels(tf, batch, 10);
  const parameters = list.map((each, index) =>
    tf.variable(tf.tidy(() => {
      const value = firstValue(tf, each, index);
      if (each.shape.length === 4) return tf.transpose(value, [2, 3, 1, 0]);
      if (each.shape.length === 1) return value;
      // Its inputs are the places of each channel, in the order of NCHW.
      const [outputs] = each.shape;
      return tf.reshape(tf.transpose(tf.reshape(value, [outputs, -1, 7, 7]), [2, 3, 1, 0]), [-1, outputs]);
    }))
  );
  const [weight1, bias1, weight2, bias2, weight3, bias3] = parameters;
  const halved = (value, weight, bias) =>
    tf.maxPool(tf.relu(tf.add(tf.conv2d(value, weight, 1, "same"), bias)), 2, 2, "valid");
  const loss = () => {
    const pictures = halved(halved(x, weight1, bias1), weight2, bias2);
    const logits = tf.add(tf.matMul(tf.reshape(pictures, [batch, -1]), weight3), bias3);
    return tf.losses.softmaxCrossEntropy(y, logits);
  };
  return { parameters, loss, resultOf: () => tf.transpose(weight2, [3, 2, 0, 1]) };
}

function transformer(tf, job) {
  const parameters = job.parameters.map((each, index) => tf.variable(firstValue(tf, each, index)));
  const y = oneHotLabels(tf, job.batch * job.context, job.vocabulary);
  return {
    parameters,
    loss: transformerLoss(tf, job, parameters, y),
    resultOf: () => parameters[job.compared],
  };
}
