import { add } from "../../../graph/ops/arithmetic.ts";
import { constant } from "../../../graph/ops/sources.ts";
import { HostTensor } from "../../../tensor/host_tensor.ts";
import { type Layer, layer } from "../../layer.ts";
import { requireInput, requireSize } from "../require_input.ts";

/**
 * Adds sines and cosines of each position (Vaswani and others 2017): `[batch, positions, dim]` to the same shape, for
 * any number of positions and without parameters. Column `2 i` is `sin(position / 10000^(2 i / dim))`, and column
 * `2 i + 1` its cosine. They are computed once, in float64, when the model is compiled.
 */
export function sinusoidalPositions(dim: number): Layer {
  const name = `sinusoidalPositions(${dim})`;
  requireSize(name, "the dimension", dim);
  return layer((x, scope) => {
    requireInput(name, scope, x, ["batch", "positions", dim]);
    const [, positions = 0] = x.shape;
    const { cache } = scope;
    const rows = cache?.rowsOf(name, (room) => sinusoids(room, dim)) ?? constant(sinusoids(positions, dim));
    return add(x, rows);
  }, name);
}

function sinusoids(positions: number, dim: number): HostTensor {
  const table = Float32Array.from({ length: positions * dim }, (_, at) => {
    const [position, column] = [Math.floor(at / dim), at % dim];
    const angle = position / 10_000 ** ((column - column % 2) / dim);
    return column % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
  return HostTensor.from(table, [positions, dim]);
}
