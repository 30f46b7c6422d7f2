import { reshape } from "../../graph/ops/views.ts";
import { formatShape } from "../../tensor/shape.ts";
import { type Layer, layer } from "../layer.ts";

/** `[batch, a, b, …]` to `[batch, a * b * …]`. */
export function flatten(): Layer {
  return layer((x) => {
    const [batch, ...rest] = x.shape;
    if (batch === undefined) throw new TypeError(`flatten: takes [batch, …], found ${formatShape(x.shape)}`);
    return reshape(x, [batch, rest.reduce((product, size) => product * size, 1)]);
  }, "flatten()");
}
