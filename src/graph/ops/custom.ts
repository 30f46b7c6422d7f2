import { requireDType } from "../../base/dtype.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { ComputeDType } from "../../kernels/elementwise/expression.ts";
import { type Dispatch, MAX_WORKGROUPS_PER_DIMENSION } from "../../gpu/dispatch.ts";
import { type Shape, validateShape } from "../../tensor/shape.ts";
import { createValue } from "../create_value.ts";
import type { Binding, OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";

/** Gradients of a custom op's inputs; `undefined` where none flows. `outGrad` has the shape of `output`. */
export type CustomGradient = (
  outGrad: Value,
  inputs: readonly Value[],
  output: Value,
) => readonly (Value | undefined)[];

/** A kernel of the user as an op. */
export interface CustomOpOptions {
  /** Stands in messages and in the plan. */
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputShape: Shape;
  /** The output's dtype: `f32` when left out. */
  readonly dtype?: ComputeDType;
  /**
   * WGSL with the entry point `main`. Bindings of group 0, in order: each input as `var<storage, read>`, the output
   * as `var<storage, read_write>`, then, with `usesScalars`, `var<uniform> … : StepScalars`. Each has to be used. The
   * kernel writes every element of the output: the memory is reused, and what is not written is whatever was there.
   */
  readonly wgsl: string;
  /** Values of the kernel's `override` declarations. */
  readonly constants?: Readonly<Record<string, number>>;
  /** Workgroup counts, each at most 65535. */
  readonly workgroups: readonly [number, number, number];
  /** Whether the kernel binds the step's scalars (`STEP_SCALARS_WGSL` declares them). */
  readonly usesScalars?: boolean;
  /** Left out: autodiff refuses to go through the op. */
  readonly gradient?: CustomGradient;
}

/** Every option of {@link CustomOpOptions}. */
export const CUSTOM_OP_OPTIONS: OptionNames<CustomOpOptions> = {
  name: true,
  inputs: true,
  outputShape: true,
  dtype: true,
  wgsl: true,
  constants: true,
  workgroups: true,
  usesScalars: true,
  gradient: true,
};

/** Attributes of a custom op. */
export type CustomAttributes = {
  readonly name: string;
  readonly kernel: Omit<Dispatch<Binding>, "bindings">;
  readonly usesScalars: boolean;
  readonly gradient: CustomGradient | undefined;
};

/** The output of a user's own WGSL kernel. Compiling the program compiles it and reports its errors by its name. */
export function customOp(options: CustomOpOptions): Value {
  const { name, inputs, outputShape, wgsl, constants, workgroups, gradient } = checkOptions(
    "customOp()",
    options,
    CUSTOM_OP_OPTIONS,
  );
  if (options.dtype !== undefined) requireDType(options.dtype);
  validateShape(outputShape, name);
  if (inputs.length > MAX_INPUTS) {
    throw new TypeError(
      `${name}: takes at most ${MAX_INPUTS} inputs, not ${inputs.length}, so that every adapter can bind them`,
    );
  }
  if (
    workgroups.some((count) => !Number.isInteger(count) || count < 0 || count > MAX_WORKGROUPS_PER_DIMENSION)
  ) {
    throw new TypeError(
      `${name}: workgroups are whole numbers from 0 to 65535, not [${workgroups.join(", ")}]`,
    );
  }
  const attributes: CustomAttributes = {
    name,
    kernel: { label: name, code: wgsl, constants: { ...constants }, workgroups },
    usesScalars: options.usesScalars === true,
    gradient,
  };
  return createValue(customOpDefinition, inputs, attributes, options.dtype ?? "f32", outputShape);
}

/** Eight storage buffers are what every adapter binds; one is the output. */
const MAX_INPUTS = 7;

/** What the user's function says. */
export const customOpDefinition: OpDefinition<CustomAttributes> = {
  name: "custom",
  gradient(value, outGrad) {
    const { name, gradient } = value.attributes;
    if (gradient === undefined) {
      throw new TypeError(
        `${name}: the custom op has no gradient; give it one, or wrap its output in stopGradient()`,
      );
    }
    const gradients = gradient(outGrad, value.inputs, value);
    if (gradients.length === value.inputs.length) return gradients;
    throw new TypeError(
      `${name}: the gradient function gave ${gradients.length} gradients for ${value.inputs.length} inputs; ` +
        "give one for each, undefined where none flows",
    );
  },
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const { kernel, usesScalars } = value.attributes;
      const output = context.regionOf(value);
      const bindings: Binding[] = [...value.inputs.map((input) => context.regionOf(input)), output];
      if (usesScalars) bindings.push("scalars");
      const workgroups: [number, number, number] = value.shape.includes(0)
        ? [0, 0, 0]
        : [...kernel.workgroups];
      return [{ dispatch: { ...kernel, workgroups, bindings }, writes: [output] }];
    },
  },
};
