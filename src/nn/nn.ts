export { gelu, relu, sigmoid, silu, tanh } from "./activations.ts";
export { dropout } from "./dropout.ts";
export { flatten } from "./flatten.ts";
export {
  filled,
  type Initializer,
  kaimingNormal,
  kaimingUniform,
  normal,
  ones,
  uniform,
  xavierNormal,
  xavierUniform,
  zeros,
} from "./initializers.ts";
export { type Layer, layer } from "./layer.ts";
export { layerNorm, type LayerNormOptions } from "./layer_norm.ts";
export { linear, type LinearOptions } from "./linear.ts";
export { crossEntropy, type Loss, mse } from "./losses.ts";
export { accuracy, type Metric } from "./metrics.ts";
export { Model, type ModelTrace } from "./model.ts";
export { type Parameter, Scope, type ScopeOptions } from "./scope.ts";
export { sequential } from "./sequential.ts";
