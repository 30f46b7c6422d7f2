import { argmaxTwins } from "./argmax_twins.ts";
import { convolutionTwins } from "./spatial/convolution_twins.ts";
import { poolingTwins } from "./spatial/pooling_twins.ts";
import { attentionTwins } from "./attention/attention_twins.ts";
import { castTwins } from "./cast_twins.ts";
import { whereTwins } from "./comparison_twins.ts";
import { customTwins } from "./custom_twins.ts";
import type { ElementTwin } from "./element_twin.ts";
import { activationsTwins } from "./elementary/activations_twins.ts";
import { ELEMENT_TWINS, elementOf, encloseElement } from "./element_twins.ts";
import { at, broadcast } from "./elements.ts";
import { fillTwins } from "./fill_twins.ts";
import { gradientsTwins } from "./gradients/gradients_twins.ts";
import { indexingTwins } from "./indexing/indexing_twins.ts";
import { orthonormalColumnsTwins } from "./linalg/orthonormal_columns_twins.ts";
import { matmulTwins } from "./matmul_twins.ts";
import type { OpTwin, OpTwins } from "./op_twin.ts";
import { movementTwins } from "./movement/movement_twins.ts";
import { batchNormTwins } from "./norm/batch_norm_twins.ts";
import { rowNormsTwins } from "./norm/row_norms_twins.ts";
import { randomTwins } from "./random_twins.ts";
import { recurrentTwins } from "./recurrent/recurrent_twins.ts";
import { reductionsTwins } from "./reductions/reductions_twins.ts";
import { reduceTwins } from "./reduce_twins.ts";
import { softmaxCrossEntropyTwins } from "./softmax_cross_entropy_twins.ts";
import { softmaxTwins } from "./softmax_twins.ts";
import { sourcesTwins } from "./sources_twins.ts";
import { sumTwins } from "./sum_twins.ts";
import { viewsTwins } from "./views_twins.ts";
import { weightedTwins } from "./weighted_twins.ts";

/** What the tests know of every op, and of every function that makes values. */
export const OP_TWINS: OpTwins = {
  ...Object.fromEntries(Object.entries(ELEMENT_TWINS).map(([op, twin]) => [op, elementwise(op, twin)])),
  ...activationsTwins,
  ...whereTwins,
  ...argmaxTwins,
  ...attentionTwins,
  ...castTwins,
  ...convolutionTwins,
  ...poolingTwins,
  ...customTwins,
  ...fillTwins,
  ...gradientsTwins,
  ...indexingTwins,
  ...matmulTwins,
  ...movementTwins,
  ...batchNormTwins,
  ...rowNormsTwins,
  ...orthonormalColumnsTwins,
  ...randomTwins,
  ...recurrentTwins,
  ...reduceTwins,
  ...reductionsTwins,
  ...softmaxTwins,
  ...softmaxCrossEntropyTwins,
  ...sourcesTwins,
  ...sumTwins,
  ...viewsTwins,
  ...weightedTwins,
};

/** Every op, by name. */
export const KNOWN_OPS: readonly string[] = Object.keys(OP_TWINS).filter((op) =>
  OP_TWINS[op]?.evaluate !== undefined
);

function elementwise(op: string, { use, cases = [] }: ElementTwin): OpTwin {
  return {
    evaluate: (value, inputs) =>
      broadcast(value, inputs, (elements) => elementOf(op, elements, at(value.inputs, 0).dtype)),
    enclose: (value, inputs) =>
      broadcast(value, inputs, (elements) => encloseElement(op, elements, at(value.inputs, 0).dtype)),
    ...use === undefined ? {} : { use },
    cases,
  };
}
