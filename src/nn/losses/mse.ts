import { square } from "../../graph/ops/arithmetic.ts";
import { differenceLoss } from "./element_loss.ts";
import type { ExampleLoss } from "./loss.ts";

/** Mean squared error of each example: output and labels are f32 of one shape `[batch, …]`. */
export function mse(): ExampleLoss {
  return differenceLoss({ name: "mse" }, square);
}
