import type { Shape } from "../../tensor/shape.ts";

/** How many elements lie between neighbours along each axis of a row-major tensor. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (const size of [...shape].reverse()) {
    strides.unshift(stride);
    stride *= size;
  }
  return strides;
}

/** Element strides of a tensor of `shape` along the axes of `target`, which it broadcasts to: 0 where it repeats. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = rowMajorStrides(shape);
  const added = target.length - shape.length;
  return target.map((_, axis) => axis < added || shape[axis - added] === 1 ? 0 : own[axis - added] ?? 0);
}
