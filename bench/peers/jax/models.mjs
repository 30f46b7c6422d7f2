// What is trained, as jax-js has it: parameters, inputs, and the loss of one batch. An operation consumes its
// arguments, so that `.ref` stands wherever one is used again.
import { numbers } from "../contender.mjs";
import { transformer } from "./transformer.mjs";

/** The model of a job. `result` makes what is compared of the trained parameters. */
export function modelOf(jax, job) {
  switch (job.kind) {
    case "mlp":
      return mlp(jax, job);
    case "cnn":
      return cnn(jax, job);
    case "transformer":
      return {
        ...transformer(
          jax,
          job,
          startingWith(jax.numpy, job.parameters),
          (tokens, classes) => rowsOf(jax.numpy, tokens, classes),
          oneHotLabels(jax.numpy, job.batch * job.context, job.vocabulary),
        ),
        compared: job.compared,
      };
    default:
      throw new Error(`no model ${job.kind}`);
  }
}

/** The labels `place % classes` as rows with a 1. */
function oneHotLabels(np, count, classes) {
  return rowsOf(np, Array.from({ length: count }, (_, place) => place % classes), classes);
}

/** A row with a 1 for each index. */
function rowsOf(np, indices, classes) {
  const rows = new Float32Array(indices.length * classes);
  indices.forEach((index, place) => rows[place * classes + index] = 1);
  return np.array(rows).reshape([indices.length, classes]);
}

function meanCrossEntropy({ nn, numpy: np }, logits, y, count) {
  return np.sum(nn.logSoftmax(logits).mul(y)).mul(-1 / count);
}

function mlp(jax, { sizes, batch }) {
  const { nn, numpy: np } = jax;
  const layers = sizes.slice(1).map((size, index) => [sizes[index], size]);
  return {
    parameters: layers.flatMap(([inputs, outputs], index) => [
      np.array(numbers(inputs * outputs, index)).mul(2 / Math.sqrt(inputs)).reshape([outputs, inputs])
        .transpose(),
      np.zeros([outputs]),
    ]),
    x: np.array(numbers(batch * sizes[0], 100)).reshape([batch, sizes[0]]),
    y: oneHotLabels(np, batch, sizes.at(-1)),
    loss(parameters, x, y) {
      let h = x;
      for (let index = 0; index < layers.length; index++) {
        h = np.matmul(h, parameters[2 * index]).add(parameters[2 * index + 1]);
        if (index < layers.length - 1) h = nn.relu(h);
      }
      return meanCrossEntropy(jax, h, y, batch);
    },
    compared: -2,
  };
}

/** The parameters that `shapesOf` lists, by the rule that is in jobs.ts. */
function startingWith(np, list) {
  return list.map(({ shape, first }, index) => {
    if (first === "zeros") return np.zeros(shape);
    if (first === "ones") return np.ones(shape);
    const count = shape.reduce((product, size) => product * size, 1);
    return np.array(numbers(count, index)).mul(first).reshape(shape);
  });
}

function cnn(jax, { batch, parameters }) {
  const { lax, nn, numpy: np } = jax;
  const halved = (x) => {
    const [images, channels, rows, columns] = x.shape;
    return np.max(x.reshape([images, channels, rows / 2, 2, columns / 2, 2]), [3, 5]);
  };
  const convolved = (x, weight, bias) =>
    nn.relu(
      lax.convGeneralDilated(x, weight, [1, 1], "SAME").add(bias.reshape([1, bias.shape[0], 1, 1])),
    );
  return {
    parameters: startingWith(np, parameters),
    x: np.array(numbers(batch * 784, 100)).reshape([batch, 1, 28, 28]),
    y: oneHotLabels(np, batch, 10),
    loss([weight1, bias1, weight2, bias2, weight3, bias3], x, y) {
      const first = halved(convolved(x, weight1, bias1));
      const second = halved(convolved(first, weight2, bias2)).reshape([batch, -1]);
      return meanCrossEntropy(jax, np.matmul(second, weight3.transpose()).add(bias3), y, batch);
    },
    compared: 2,
  };
}
