import { readFileSync } from "node:fs";
import type { DType } from "../../../src/base/dtype.ts";

/** A layer, its parameters and what PyTorch makes of them in float64. */
export interface TorchLayerCase {
  readonly name: string;
  readonly shape: readonly number[];
  readonly x: readonly number[];
  readonly parameters: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly values: readonly number[] }>
  >;
  readonly outputShape: readonly number[];
  readonly output: readonly number[];
  /** Of the sum of the output's elements, each times the cosine of its number from 1. */
  readonly gradients: Readonly<Record<string, readonly number[]>>;
  /** None of inputs that are indices. */
  readonly inputGradient?: readonly number[];
}

/** The mean loss of a batch, and its gradient by the output. */
export interface TorchLossCase {
  readonly name: string;
  readonly outputShape: readonly number[];
  readonly output: readonly number[];
  readonly labelShape: readonly number[];
  readonly labelDType: DType;
  readonly labels: readonly number[];
  readonly loss: number;
  readonly gradient: readonly number[];
}

/** A parameter before and after steps with these gradients. */
export interface TorchOptimizerCase {
  readonly name: string;
  readonly first: readonly number[];
  readonly gradients: readonly (readonly number[])[];
  readonly last: readonly number[];
}

/** What `tools/torch_cases.py` wrote. */
export interface TorchCases {
  /** PyTorch's version. */
  readonly torch: string;
  readonly layers: readonly TorchLayerCase[];
  readonly losses: readonly TorchLossCase[];
  readonly optimizers: readonly TorchOptimizerCase[];
}

/** The cases of PyTorch that are part of the repository. */
export function torchCases(): TorchCases {
  return JSON.parse(readFileSync(new URL("cases.json", import.meta.url), "utf8"));
}
