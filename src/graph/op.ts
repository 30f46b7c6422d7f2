import type { Dispatch } from "../gpu/dispatch.ts";
import type { ElementwiseInput } from "../kernels/elementwise/element_code.ts";
import type { Expression } from "../kernels/elementwise/expression.ts";
import type { Attributes, Value } from "./value.ts";

/**
 * One op: what its gradient is and how it becomes work for the GPU. Its shape rule is in the function beside it, which
 * makes its values. `definitionOf` gives the op of a value.
 */
export interface OpDefinition<A extends Attributes = Attributes> {
  /** The `op` of its values. */
  readonly name: string;
  readonly lowering: Lowering<A>;
  /**
   * The gradient of each input, given the gradient of the output, which has the output's shape. Each has its input's
   * shape. Those of an elementwise op may have the output's shape: its inputs broadcast, and autodiff sums over what
   * was repeated. `undefined`, or no such method, where none flows: through integers, comparisons and steps.
   * Gradients of inputs that are not needed are thrown away. A list is added up one by one, in its order.
   */
  gradient?(
    value: Value<A>,
    outGrad: Value,
    isNeeded: (input: Value) => boolean,
  ): readonly (Value | readonly Value[] | undefined)[];
  /** Inputs that hold indices. */
  indices?(value: Value<A>): readonly IndexInput[];
  /**
   * About how many floating-point operations it takes, where those are more than one an element; a product and a sum
   * are two.
   */
  flops?(value: Value<A>): number;
  /** The stream of random numbers that it draws from, if it draws any. */
  stream?(value: Value<A>): number | undefined;
}

/** An input that holds indices. */
export interface IndexInput {
  /** The number of the input. */
  readonly input: number;
  /** What each index is below. */
  readonly below: number;
  /** What a message says takes them. Default: the op. */
  readonly by?: string | undefined;
}

/** The ways in which an op becomes work. */
export type Lowering<A extends Attributes = Attributes> =
  /** None: the elements come from outside, or are numbers of the step. */
  | { readonly kind: "source" }
  /** None: the bytes of the first input under another shape. */
  | { readonly kind: "view" }
  /** None: the kernel of the first input fills this too, besides its own output; see `companionOf`. */
  | { readonly kind: "companion" }
  | ElementwiseLowering<A>
  | ReadLowering<A>
  | KernelLowering<A>;

/** An op that computes each element from the elements at the same place in its inputs, broadcast. It can be fused. */
export interface ElementwiseLowering<A extends Attributes = Attributes> {
  readonly kind: "elementwise";
  /** What computing it a second time costs; see `RECOMPUTE_LIMIT` in fusion.ts. */
  readonly cost: ElementwiseCost;
  expression(value: Value<A>, inputs: readonly Expression[]): Expression;
}

/** `free`: no instruction. `cheap`: one or two. `expensive`: a transcendental function, many. */
export type ElementwiseCost = "free" | "cheap" | "expensive";

/**
 * An op whose elements are elements of its input. Elementwise kernels read them where they are; they are copied where
 * another kernel needs them in a row.
 */
export interface ReadLowering<A extends Attributes = Attributes> {
  readonly kind: "read";
  read(value: Value<A>): Read;
}

/** Which elements of its input an op reads. */
export interface Read {
  /** The place along each axis of the input that the first place of the result is. */
  readonly starts: readonly number[];
  /**
   * For each axis of the result the axis of the input that it walks and by which step; `undefined` repeats one place.
   */
  readonly axes: readonly ({ readonly of: number; readonly step: number } | undefined)[];
  /** Where along axes of the result there is an element; everywhere when left out. */
  readonly bounds?: readonly { readonly axis: number; readonly from: number; readonly to: number }[];
  /** The value elsewhere; 0 unless given. */
  readonly fill?: number;
}

/** An op with kernels of its own. */
export interface KernelLowering<A extends Attributes = Attributes> {
  readonly kind: "kernel";
  /**
   * What of it may be in 16 bits where that is asked for: inputs that are `factors` of products, but not a result of
   * `sums`. When left out, its result, and no input for its sake.
   */
  readonly precision?: "factors" | "sums";
  steps(value: Value<A>, context: LoweringContext): readonly Step[];
  /** What its kernel can compute besides; see `LoweringContext.joinsOf`. Nothing when left out. */
  joins?(value: Value<A>, context: JoiningContext): JoinableWork | undefined;
}

/** What is known before there is memory. */
export type JoiningContext = Pick<LoweringContext, "variant" | "bindingBytes">;

/** What a kernel can compute besides its result. */
export interface JoinableWork {
  /** How many other tensors elementwise ops of its result may read: the last of them is written in its place. */
  readonly operands: number;
  /** A matrix that it reads and may sum over the first axis. */
  readonly summed?: Value | undefined;
}

/** What the kernel of a value computes besides: elementwise ops at its end, or a sum. */
export interface JoinedKernel {
  readonly epilogue?: {
    /** What is written instead of the result, of as many elements. */
    readonly out: Region;
    readonly inputs: readonly ElementwiseInput<Binding>[];
    /** Which input is the kernel's own result; it is not in memory. */
    readonly product: number;
    readonly shape: readonly number[];
    readonly expression: Expression;
  } | undefined;
  /** Where the sum goes. */
  readonly sum?: Region | undefined;
}

/** A piece of device memory that the plan gives a place to. Its address is known only after planning. */
export interface Region {
  readonly id: number;
  readonly label: string;
  /** What is bound: a multiple of 4, and at least 4, since WebGPU cannot bind nothing. */
  readonly byteLength: number;
}

/** A slice of a region, bound by itself: `offset` is a multiple of 256, both are in bytes. */
export interface RegionSlice {
  readonly region: Region;
  readonly offset: number;
  readonly byteLength: number;
}

/** What a dispatch of a plan binds: memory, or the step's scalars. */
export type Binding = Region | RegionSlice | "scalars";

/** The region that a binding is, or is a slice of; none for the scalars. */
export function regionOf(binding: Binding): Region | undefined {
  if (binding === "scalars") return undefined;
  return "region" in binding ? binding.region : binding;
}

/** A dispatch with the regions that it writes; it only reads the others. */
export interface Step {
  readonly dispatch: Dispatch<Binding>;
  readonly writes: readonly Region[];
}

/** What an op's lowering may ask for. */
export interface LoweringContext {
  /** The most bytes that a dispatch binds at once, a multiple of 256: of larger tensors it binds a part. */
  readonly bindingBytes: number;
  /** Where the elements of `value` are: an input of the op, or its own output. */
  regionOf(value: Value): Region;
  /** Where the second output of its kernel goes. `undefined` when the program has no use for it. */
  companionOf(value: Value): Region | undefined;
  /** What else the kernel of `value` computes, as it offered; nothing for most. */
  joinsOf(value: Value): JoinedKernel;
  /** Memory for results between two dispatches of one op. It lives from its first to its last use in the steps. */
  scratch(label: string, byteLength: number): Region;
  /** Memory with these words in it, which no step changes. */
  constant(label: string, words: Uint32Array): Region;
  /** The variant of `kernel` that this program runs, one of `choices`. */
  variant<Choice extends string>(kernel: string, choices: VariantChoices<Choice>): Choice;
}

/** The variants of a kernel, and which one suits which kind of adapter. */
export interface VariantChoices<Choice extends string> {
  readonly all: readonly Choice[];
  /** For adapters that are a CPU. */
  readonly cpu: Choice;
  readonly gpu: Choice;
}

/** `list[index]`, which the op's own constructor put there. */
export function item<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new RangeError(`There is no item ${index} in a list of ${list.length}`);
  return found;
}
