// jax-js, each job jitted. It is lazy: what is not awaited is never computed. An operation consumes its arguments, so
// that `.ref` stands wherever one is used again.
import process from "node:process";
import { numbers, provideWebGpu, samplePlaces, serve } from "../contender.mjs";
import { modelOf } from "./models.mjs";

await provideWebGpu(process.argv[2]);
const jax = await import("@jax-js/jax");
const { blockUntilReady, defaultDevice, init, jit, numpy: np, tree, valueAndGrad } = jax;
await init("webgpu");
defaultDevice("webgpu");

await serve(async (job) => job.kind === "matmul" ? await matmulJob(job) : await trainingJob(job));

async function matmulJob({ m, n, k, transposeA, transposeB }) {
  const a = np.array(numbers(m * k, 1)).reshape(transposeA ? [k, m] : [m, k]);
  const b = np.array(numbers(k * n, 2)).reshape(transposeB ? [n, k] : [k, n]);
  const multiply = jit((a, b) =>
    np.matmul(transposeA ? np.matrixTranspose(a) : a, transposeB ? np.matrixTranspose(b) : b)
  );
  let last;
  const run = async (repetitions) => {
    const products = Array.from({ length: repetitions }, () => multiply(a.ref, b.ref));
    await blockUntilReady(products);
    last?.dispose();
    last = products.pop();
    for (const product of products) product.dispose();
  };
  await run(1);
  return { run, results: async () => sampled(await last.ref.data()) };
}

function sampled(values) {
  return samplePlaces(values.length).map((place) => values[place]);
}

/** Adam as in its paper, on the mean cross-entropy of one batch. */
async function trainingJob(job) {
  const { learningRate, steps } = job;
  const { parameters, x, y, loss, compared } = modelOf(jax, job);
  const trainStep = jit((parameters, means, squares, corrections, x, y) => {
    const [value, gradients] = valueAndGrad(loss)(tree.ref(parameters), x, y);
    const newMeans = means.map((mean, i) => mean.mul(0.9).add(gradients[i].ref.mul(0.1)));
    const newSquares = squares.map((square, i) =>
      square.mul(0.999).add(gradients[i].ref.mul(gradients[i]).mul(0.001))
    );
    const first = corrections.ref.slice(0);
    const second = corrections.slice(1);
    const updated = parameters.map((parameter, i) =>
      parameter.sub(
        newMeans[i].ref.mul(first.ref).mul(learningRate)
          .div(np.sqrt(newSquares[i].ref.mul(second.ref)).add(1e-8)),
      )
    );
    first.dispose();
    second.dispose();
    return [updated, newMeans, newSquares, value];
  });
  const zeros = () => parameters.map((parameter) => np.zeros(parameter.shape));
  let state = [parameters, zeros(), zeros()];
  let done = 0;
  const run = async (repetitions) => {
    for (const end = done + repetitions * steps; done < end;) {
      done += 1;
      const corrections = np.array(new Float32Array([1 / (1 - 0.9 ** done), 1 / (1 - 0.999 ** done)]));
      const [updated, means, squares, value] = trainStep(...state, corrections, x.ref, y.ref);
      state = [updated, means, squares];
      await blockUntilReady([state, value]);
      value.dispose();
    }
  };
  await run(1);
  return { run, results: async () => [...await state[0].at(compared).ref.data()] };
}
