import { callLayer } from "../layer_call.ts";
import { type Layer, layer as knownLayer, requireValue } from "../layer.ts";

/** One layer after the other. Parameters of the n-th are named `n.…`, counting from 0, as in PyTorch. */
export function sequential(...layers: readonly Layer[]): Layer {
  layers.forEach((layer, index) => {
    if (typeof layer !== "function") {
      throw new TypeError(
        `sequential: layer ${index} is a function (x, scope) => value, found ${typeof layer}`,
      );
    }
  });
  return knownLayer((x, scope) =>
    layers.reduce((value, layer, index) => {
      const own = scope.child(String(index));
      const name = layer.name === "" ? "layer" : layer.name;
      return callLayer(
        name,
        value,
        own,
        () => requireValue(`layer ${index} of sequential()`, layer(value, own)),
        false,
      );
    }, x), "sequential()");
}
