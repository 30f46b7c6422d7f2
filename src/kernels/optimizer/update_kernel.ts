import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { requireSizes } from "../sizes.ts";
import { STEP_SCALARS_WGSL } from "../step_scalars.ts";
import { GATE_WGSL, STEP_VERDICT_WGSL } from "./step_verdict.ts";

/** What every kernel of an optimiser binds: f32 tensors of `count` elements, the step's scalars and its verdict. */
export interface UpdateKernelBindings<B> {
  /** Read and written. */
  readonly parameter: B;
  readonly gradient: B;
  readonly scalars: B;
  /** Whether to do anything; how many updates there were, and the corrections that follow from that. */
  readonly verdict: B;
}

/** Sizes and places of a kernel of an optimiser. */
export interface UpdateKernelSizes {
  /** Elements. Multiples of 4 are computed four at a time. */
  readonly count: number;
  /** Which of the step's scalars is the learning rate. Default 0. */
  readonly rate?: number | undefined;
}

/** A kernel of an optimiser: what is its own. */
export interface UpdateKernel<B> {
  /** Stands in messages. */
  readonly name: string;
  readonly sizes: UpdateKernelSizes;
  readonly verdict: B;
  /** The rate is there as `learning_rate` when the scalars are bound. */
  readonly scalars?: B | undefined;
  /** Is there as `gradient`, clipped as the verdict says. */
  readonly gradient?: B | undefined;
  /** Added to `gradient`, times the parameter. Default 0: nothing is, as 0 times an infinite parameter would be NaN. */
  readonly coupledDecay?: number | undefined;
  /** Arrays of `Elements` that are read and written, by the names that the body has for them. */
  readonly written: Readonly<Record<string, B>>;
  /** Arrays that are read. */
  readonly read?: Readonly<Record<string, B>> | undefined;
  /** Single numbers of f32 that are read. */
  readonly numbers?: Readonly<Record<string, B>> | undefined;
  /** Numbers that never change, by their names in the body. */
  readonly constants?: Readonly<Record<string, number>> | undefined;
  /** WGSL statements for element `index`; `Elements` is f32 or four of them. */
  readonly body: string;
}

/**
 * One dispatch over a range of a slab, an invocation for four elements. It returns at once where the verdict says that
 * the step does not count.
 *
 * @throws RangeError for a count that no shader can index.
 */
export function updateKernel<B>(kernel: UpdateKernel<B>): Dispatch<B> {
  const { name, sizes: { count, rate = 0 }, constants = {}, coupledDecay = 0 } = kernel;
  requireSizes(name, { count, rate });
  const isVector = count % 4 === 0;
  const elements = isVector ? count / 4 : count;
  const isTimed = kernel.scalars !== undefined;
  const decay: Record<string, number> = coupledDecay > 0 ? { coupled_decay: coupledDecay } : {};
  return {
    label: `${name} ${count}`,
    code: updateWgsl(kernel, isVector ? "vec4<f32>" : "f32", Object.keys({ ...constants, ...decay })),
    constants: { count: elements, ...isTimed ? { rate } : {}, ...constants, ...decay },
    bindings: [
      kernel.verdict,
      ...kernel.scalars === undefined ? [] : [kernel.scalars],
      ...kernel.gradient === undefined ? [] : [kernel.gradient],
      ...Object.values({ ...kernel.written, ...kernel.read, ...kernel.numbers }),
    ],
    workgroups: linearGrid(elements),
  };
}

function updateWgsl<B>(
  { scalars, gradient, coupledDecay = 0, written, read, numbers, body }: UpdateKernel<B>,
  elements: "f32" | "vec4<f32>",
  overrides: readonly string[],
): string {
  const declarations = ["var<uniform> verdict: StepVerdict;"];
  const declare = (names: readonly string[], declaration: (name: string) => string): void => {
    declarations.push(...names.map(declaration));
  };
  if (scalars !== undefined) declarations.push("var<uniform> scalars: StepScalars;");
  if (gradient !== undefined) declarations.push("var<storage, read> gradients: array<Elements>;");
  declare(Object.keys(written), (name) => `var<storage, read_write> ${name}: array<Elements>;`);
  declare(Object.keys(read ?? {}), (name) => `var<storage, read> ${name}: array<Elements>;`);
  declare(Object.keys(numbers ?? {}), (name) => `var<storage, read> ${name}: f32;`);
  const decayed = coupledDecay > 0 ? " + parameter[index] * coupled_decay" : "";
  return `override count: u32;
${scalars === undefined ? "" : "override rate: u32;\n"}${
    overrides.map((name) => `override ${name}: f32;\n`).join("")
  }
${scalars === undefined ? "" : STEP_SCALARS_WGSL}${STEP_VERDICT_WGSL}
alias Elements = ${elements};

${declarations.map((each, index) => `@group(0) @binding(${index}) ${each}\n`).join("")}
${gradient === undefined ? "" : CLIPPED_WGSL}${LINEAR_MAIN_WGSL}
${GATE_WGSL}
${scalars === undefined ? "" : "  let learning_rate = scalars.values[rate / 4u][rate % 4u];\n"}${
    gradient === undefined ? "" : `  let gradient = clipped_gradient(index)${decayed};\n`
  }${body}
}
`;
}

/** The same bits where nothing is clipped. */
const CLIPPED_WGSL = `fn clipped_gradient(index: u32) -> Elements {
  let scaled = gradients[index] * verdict.gradient_scale;
  let limit = Elements(verdict.gradient_limit);
  return select(scaled, clamp(scaled, -limit, limit), verdict.gradient_limit > 0.0);
}

`;
