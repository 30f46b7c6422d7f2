// The transformer of `TransformerJob` in jax-js, with its own `dotProductAttention` and `standardize`. Tokens are rows
// with a 1, since `np.take` has no gradient for the table.
import { numbers } from "../contender.mjs";

/** Parameters, inputs and loss, as models.mjs has them. `first` gives the parameters. */
export function transformer(jax, { context, vocabulary, heads, blocks, batch }, first, oneHot, y) {
  const { nn, numpy: np } = jax;
  const count = batch * context;
  const tokens = numbers(count, 100).map((value) => Math.floor((value + 0.5) * vocabulary));
  const linear = (x, weight, bias) => np.matmul(x, weight.transpose()).add(bias);
  const layerNorm = (x, weight, bias) => nn.standardize(x, -1, { epsilon: 1e-5 }).mul(weight).add(bias);
  const attend = (x, [queryWeight, queryBias, keyWeight, keyBias, valueWeight, valueBias, weight, bias]) => {
    const width = x.shape[1];
    const split = (of) => of.reshape([batch, context, heads, width / heads]);
    const attended = nn.dotProductAttention(
      split(linear(x.ref, queryWeight, queryBias)),
      split(linear(x.ref, keyWeight, keyBias)),
      split(linear(x, valueWeight, valueBias)),
      { isCausal: true },
    );
    return linear(attended.reshape([count, width]), weight, bias);
  };
  return {
    parameters: first,
    x: oneHot(tokens, vocabulary),
    y,
    loss([table, positions, ...rest], x, y) {
      const width = table.shape[1];
      let h = np.matmul(x, table).reshape([batch, context, width]).add(positions).reshape([count, width]);
      for (let block = 0; block < blocks; block++) {
        const [weight1, bias1, ...others] = rest.splice(0, 16);
        h = h.ref.add(attend(layerNorm(h, weight1, bias1), others.splice(0, 8)));
        const [weight2, bias2, wideWeight, wideBias, narrowWeight, narrowBias] = others;
        const wide = nn.relu(linear(layerNorm(h.ref, weight2, bias2), wideWeight, wideBias));
        h = h.add(linear(wide, narrowWeight, narrowBias));
      }
      const [weight, bias, outWeight, outBias] = rest;
      const logits = linear(layerNorm(h, weight, bias), outWeight, outBias);
      return np.sum(nn.logSoftmax(logits).mul(y)).mul(-1 / count);
    },
  };
}
