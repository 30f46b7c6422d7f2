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
      const result = layer(value, scope.child(String(index)));
      return requireValue(`layer ${index} of sequential()`, result);
    }, x)
  );
}
