import { abs } from "../../graph/ops/piecewise.ts";
import { differenceLoss } from "./element_loss.ts";
import type { ExampleLoss } from "./loss.ts";

/** Mean absolute error of each example (PyTorch's `L1Loss`): output and labels are f32 of one shape `[batch, …]`. */
export function mae(): ExampleLoss {
  return differenceLoss({ name: "mae" }, abs);
}
