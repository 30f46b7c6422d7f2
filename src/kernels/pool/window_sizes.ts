import { type Dispatch, linearGrid } from "../../gpu/dispatch.ts";
import { type MovingWindow, windowConstants } from "../moving_window.ts";
import { requireElements } from "../sizes.ts";

/** Windows that move over planes `[planes, …input]`. What lies outside of the input is in no window. */
export interface WindowSizes extends MovingWindow {
  readonly planes: number;
}

/** Whether no element is in two windows. */
export function areApart({ kernel, stride, dilation }: WindowSizes): boolean {
  return ([0, 1] as const).every((axis) => stride[axis] > (kernel[axis] - 1) * dilation[axis]);
}

/** Whether all windows lie in the input. */
export function isInside({ input, output, kernel, stride, dilation, padding }: WindowSizes): boolean {
  return ([0, 1] as const).every((axis) => {
    const last = (output[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis];
    return padding[axis] === 0 && last < input[axis];
  });
}

/**
 * A kernel over the elements of all inputs or of all outputs.
 *
 * @throws RangeError for more elements than a shader can index.
 */
export function windowDispatch<B>(
  over: "input" | "output",
  sizes: WindowSizes,
  { label, ...kernel }: Pick<Dispatch<B>, "label" | "code" | "bindings">,
): Dispatch<B> {
  const elements = {
    input: requireElements("pooling", [sizes.planes, ...sizes.input]),
    output: requireElements("pooling", [sizes.planes, ...sizes.output]),
  };
  const count = elements[over];
  return {
    label: `${label} of ${sizes.kernel.join("x")}`,
    ...kernel,
    constants: { ...windowConstants(sizes), count },
    workgroups: linearGrid(count),
  };
}
