// The transformer of `TransformerJob` in TensorFlow.js, of its ops: it has neither attention nor gelu. Tokens are rows
// with a 1, since its WebGPU backend has no gradient of `gather`.
import { numbers } from "../contender.mjs";

/** The loss of `parameters`, over one batch. */
export function transformerLoss(tf, { context, vocabulary, heads, blocks, width, batch }, parameters, y) {
  const count = batch * context;
  const tokens = numbers(count, 100).map((value) => Math.floor((value + 0.5) * vocabulary));
  const x = tf.cast(tf.oneHot(tf.tensor1d(Int32Array.from(tokens), "int32"), vocabulary), "float32");
  const hidden = tf.tensor(
    Float32Array.from(
      { length: context * context },
      (_, at) => at % context > Math.floor(at / context) ? -1e9 : 0,
    ),
    [context, context],
  );
  const linear = (value, weight, bias) => tf.add(tf.matMul(value, weight, false, true), bias);
  const layerNorm = (value, weight, bias) => {
    const { mean, variance } = tf.moments(value, -1, true);
    const normal = tf.mul(tf.sub(value, mean), tf.rsqrt(tf.add(variance, 1e-5)));
    return tf.add(tf.mul(normal, weight), bias);
  };
  const split = (value) =>
    tf.transpose(tf.reshape(value, [batch, context, heads, width / heads]), [0, 2, 1, 3]);
  const attend = (
    value,
    [queryWeight, queryBias, keyWeight, keyBias, valueWeight, valueBias, weight, bias],
  ) => {
    const queries = split(linear(value, queryWeight, queryBias));
    const keys = split(linear(value, keyWeight, keyBias));
    const values = split(linear(value, valueWeight, valueBias));
    const scores = tf.mul(tf.matMul(queries, keys, false, true), 1 / Math.sqrt(width / heads));
    const attended = tf.matMul(tf.softmax(tf.add(scores, hidden)), values);
    return linear(tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [count, width]), weight, bias);
  };
  return () => {
    const [table, positions, ...rest] = parameters;
    const rows = tf.reshape(tf.matMul(x, table), [batch, context, width]);
    let h = tf.reshape(tf.add(rows, positions), [count, width]);
    for (let block = 0; block < blocks; block++) {
      const [weight1, bias1, ...others] = rest.splice(0, 16);
      h = tf.add(h, attend(layerNorm(h, weight1, bias1), others.splice(0, 8)));
      const [weight2, bias2, wideWeight, wideBias, narrowWeight, narrowBias] = others;
      const wide = tf.relu(linear(layerNorm(h, weight2, bias2), wideWeight, wideBias));
      h = tf.add(h, linear(wide, narrowWeight, narrowBias));
    }
    const [weight, bias, outWeight, outBias] = rest;
    const logits = linear(layerNorm(h, weight, bias), outWeight, outBias);
    return tf.losses.softmaxCrossEntropy(y, logits);
  };
}
