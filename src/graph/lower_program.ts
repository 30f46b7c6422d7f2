import { alignUp } from "../base/checked.ts";
import { byteSizeOf } from "../base/dtype.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import type { ElementwiseInput } from "../kernels/elementwise/element_code.ts";
import type { ComputeDType } from "../kernels/elementwise/expression.ts";
import type { ElementwiseOptions } from "../kernels/elementwise/elementwise.ts";
import { elementwiseParts } from "../kernels/elementwise/elementwise_parts.ts";
import { isSixteenBits, type SixteenBits } from "../kernels/elementwise/sixteen_bits.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import { elementCount, formatShape, type Shape } from "../tensor/shape.ts";
import { definitionOf, isResultOf } from "./create_value.ts";
import { fuse, type FusedGroup } from "./fusion.ts";
import { type Joins, joinWork } from "./joins.ts";
import { memoryOf } from "./kernel_steps.ts";
import { kernelContext } from "./precision/kernel_context.ts";
import { type Binding, item, type JoinedKernel, type LoweringContext, type Region, type Step } from "./op.ts";
import { requireComputeDType } from "./ops/requirements.ts";
import { constantOp, inputOp, parameterOp } from "./ops/sources.ts";
import type { Program } from "./program.ts";
import { labelOf, reachable, sizeOf, type Value } from "./value.ts";
import { broadcastWalk } from "./walks.ts";

/** Elements that are uploaded once rather than computed in each run: a dispatch costs more than their memory. */
const MOST_LITERALS = 1024;

/** A step with a line about it for people. */
export interface LoweredStep extends Step {
  readonly text: string;
  /** The values that it computes, or helps to: those of a fused kernel, the result last. */
  readonly values?: readonly Value[];
}

/** How a program picks the variant of a kernel. */
export type ChooseVariant = LoweringContext["variant"];

/**
 * Turns values into dispatches over regions, in order of execution. Regions get their addresses later; the ones that
 * lie outside of the program's own memory are listed apart.
 */
export class ProgramLowering implements LoweringContext {
  readonly steps: LoweredStep[] = [];
  /** Regions that steps fill: the ones to place, unless a store gives them a place. */
  readonly computed: Set<Region> = new Set();
  /** Regions that are somewhere already. */
  readonly parameters: Map<Region, BufferRange> = new Map();
  readonly inputs: Map<string, { readonly value: Value; readonly region: Region }> = new Map();
  readonly constants: Map<Region, HostTensor> = new Map();
  /** How many elementwise ops run inside the kernel of another op. */
  fusedOps = 0;
  readonly variant: ChooseVariant;
  readonly bindingBytes: number;
  readonly #locate: Program["parameters"];
  readonly #numbers: Map<Value, number>;
  readonly #regions = new Map<Value, Region>();
  /** Companions that the program reads, by the value whose kernel fills them. */
  readonly #companions = new Map<Value, Region>();
  readonly #joins: Joins;
  #lastRegion = 0;

  constructor(
    roots: readonly Value[],
    inputs: readonly Value[],
    locate: Program["parameters"],
    variant: ChooseVariant,
    bindingBytes: number = Infinity,
  ) {
    this.variant = variant;
    this.bindingBytes = bindingBytes;
    this.#locate = locate;
    const values = reachable([...inputs, ...roots]);
    this.#numbers = new Map(values.map((value, index) => [value, index]));
    for (const value of values) {
      if (definitionOf(value).lowering.kind === "companion") this.#addCompanion(value);
    }
    const groups = fuse(roots);
    this.#joins = joinWork(roots, groups, this);
    for (const value of values) this.#lower(value, groups.get(value));
  }

  /** Where the elements of `value` are; a view is where its source is. */
  regionOf(value: Value): Region {
    const known = this.#regions.get(value);
    if (known !== undefined) return known;
    const region = this.#sharedRegion(value) ?? this.#newRegion(this.nameOf(value), storageBytes(value));
    this.#regions.set(value, region);
    return region;
  }

  /** The region of a value that has none of its own. */
  #sharedRegion(value: Value): Region | undefined {
    const { kind } = definitionOf(value).lowering;
    if (kind === "view") return this.regionOf(item(value.inputs, 0));
    return kind === "companion" ? this.companionOf(item(value.inputs, 0)) : undefined;
  }

  companionOf(value: Value): Region | undefined {
    return this.#companions.get(value);
  }

  joinsOf(value: Value): JoinedKernel {
    const { group, leaf: product, sum } = this.#joins.byKernel.get(value) ?? {};
    if (sum !== undefined) return { sum: this.#computedRegion(sum) };
    if (group === undefined || product === undefined) return {};
    const { root, expression } = group;
    const inputs = this.#inputsOf(group, product);
    return { epilogue: { out: this.#computedRegion(root), inputs, product, shape: root.shape, expression } };
  }

  /** Memory for results without a value. It lives from its first to its last use in the steps. */
  scratch(label: string, byteLength: number): Region {
    const region = this.#newRegion(label, byteLength);
    this.computed.add(region);
    return region;
  }

  constant(label: string, words: Uint32Array): Region {
    const region = this.#newRegion(label, words.byteLength);
    this.constants.set(region, HostTensor.from(words));
    return region;
  }

  /** Adds a step, unless it has nothing to compute. */
  add(step: Step, text: string, values: readonly Value[] = []): void {
    if (step.dispatch.workgroups.every((count) => count > 0)) this.steps.push({ ...step, text, values });
  }

  /** E.g. `%12 matmul f32 [64, 10]`; the number counts the program's values, so that it is the same in every trace. */
  nameOf(value: Value): string {
    return `%${this.#numbers.get(value)} ${labelOf(value)} ${value.dtype} ${formatShape(value.shape)}`;
  }

  #addCompanion(value: Value): void {
    const owner = item(value.inputs, 0);
    if (!this.#companions.has(owner)) {
      this.#companions.set(owner, this.scratch(this.nameOf(value), storageBytes(value)));
    }
  }

  #newRegion(label: string, byteLength: number): Region {
    return { id: this.#lastRegion++, label, byteLength: Math.max(4, alignUp(byteLength, 4)) };
  }

  #lower(value: Value, group: FusedGroup | undefined): void {
    const { lowering } = definitionOf(value);
    switch (lowering.kind) {
      case "source":
        return this.#lowerSource(value);
      case "view":
      case "companion":
        return;
      case "elementwise":
      case "read":
        if (group !== undefined) this.#lowerGroup(group);
        return;
      case "kernel":
        // One that has a group at its end runs where the group would, and a sum with the kernel that it joined.
        if (this.#joins.byKernel.get(value)?.group === undefined && !this.#joins.byResult.has(value)) {
          this.#lowerKernel(value);
        }
        return;
      default:
        throw new TypeError(`There is no lowering ${lowering satisfies never}`);
    }
  }

  #lowerKernel(value: Value): void {
    const { lowering } = definitionOf(value);
    if (lowering.kind !== "kernel") throw new TypeError(`${value.op} has no kernel`);
    const { group, leaf, sum } = this.#joins.byKernel.get(value) ?? {};
    const others = group?.leaves.flatMap(({ source }, index) => index === leaf ? [] : [source]) ?? [];
    const members = group?.members ?? [];
    this.fusedOps += members.length;
    if (group === undefined) this.#computedRegion(value);
    const text = this.#textOf(group?.root ?? value, [...value.inputs, ...others]);
    const values = [...members.slice(0, -1), value, ...members.slice(-1), ...sum === undefined ? [] : [sum]];
    const context = kernelContext(this, (source) => this.#widened(source, text, values));
    for (const step of lowering.steps(value, context)) this.add(step, text, values);
  }

  #lowerSource(value: Value): void {
    const region = this.regionOf(value);
    if (isResultOf(constantOp, value)) {
      this.constants.set(region, value.attributes.tensor);
    } else if (isResultOf(parameterOp, value)) {
      this.parameters.set(region, parameterRange(value, this.#locate(value.attributes.name), region));
    } else if (isResultOf(inputOp, value)) {
      const { name } = value.attributes;
      if (this.inputs.has(name)) {
        throw new TypeError(`Two inputs of the program are called "${name}"; rename one`);
      }
      this.inputs.set(name, { value, region });
    }
  }

  #lowerGroup(group: FusedGroup): void {
    const { root, leaves, expression, members, usesScalars } = group;
    const kernel = this.#joins.byResult.get(root);
    if (kernel !== undefined) return this.#lowerKernel(kernel);
    if (expression.kind === "constant" && sizeOf(root) <= MOST_LITERALS) {
      this.constants.set(this.regionOf(root), repeatedNumber(expression.value, expression.dtype, root.shape));
      return;
    }
    const output = this.#computedRegion(root);
    this.fusedOps += members.length - 1;
    const ops = members.map((member) => member.op).join(" ");
    const text = this.#textOf(root, leaves.map(({ source }) => source));
    this.#addElementwise(output, text, [...members.filter((member) => member !== root), root], {
      label: `${ops} ${formatShape(root.shape)}`,
      inputs: this.#inputsOf(group),
      outputs: [{ binding: output, dtype: storedDType(root), expression }],
      shape: root.shape,
      scalars: usesScalars ? "scalars" : undefined,
    });
  }

  #addElementwise(
    written: Region,
    text: string,
    values: readonly Value[],
    options: ElementwiseOptions<Binding>,
  ): void {
    for (const dispatch of elementwiseParts(options, memoryOf(this))) {
      this.add({ dispatch, writes: [written] }, text, values);
    }
  }

  /** What a group reads. Input `given` is in no memory: the kernel that the group joined has it. */
  #inputsOf({ root, leaves }: FusedGroup, given?: number): ElementwiseInput<Binding>[] {
    return leaves.map((leaf, index) => ({
      binding: index === given ? this.#computedRegion(root) : this.regionOf(leaf.source),
      dtype: leaf.source.dtype,
      fill: leaf.fill,
      ...broadcastWalk(leaf, root.shape),
    }));
  }

  /** The elements of `source`, in 16 bits, as f32 for the kernel of `values` alone, which is described by `text`. */
  #widened(source: Value, text: string, values: readonly Value[]): Region {
    const out = this.scratch(`f32 of ${this.nameOf(source)}`, 4 * sizeOf(source));
    this.#addElementwise(out, text, values, {
      label: `widen ${formatShape(source.shape)}`,
      inputs: [{ binding: this.regionOf(source), dtype: source.dtype, strides: [1] }],
      outputs: [{ binding: out, dtype: "f32", expression: { kind: "input", index: 0 } }],
      shape: [sizeOf(source)],
    });
    return out;
  }

  #computedRegion(value: Value): Region {
    const region = this.regionOf(value);
    this.computed.add(region);
    return region;
  }

  #textOf(result: Value, operands: readonly Value[]): string {
    const list = operands.map((operand) => `%${this.#numbers.get(operand)}`).join(", ");
    return `${this.nameOf(result)}${list === "" ? "" : ` <- ${list}`}`;
  }
}

function repeatedNumber(value: number, dtype: ComputeDType, shape: Shape): HostTensor {
  const Elements = { f32: Float32Array, i32: Int32Array, u32: Uint32Array }[dtype];
  return HostTensor.from(new Elements(elementCount(shape)).fill(value), shape);
}

/** What the elements of `value` are stored as. */
function storedDType(value: Value): ComputeDType | SixteenBits {
  return isSixteenBits(value.dtype) ? value.dtype : requireComputeDType(value.op, value);
}

/** How many bytes the elements of `value` take. */
export function storageBytes(value: Value): number {
  return sizeOf(value) * byteSizeOf(value.dtype);
}

function parameterRange(value: Value, range: BufferRange, region: Region): BufferRange {
  const needed = storageBytes(value);
  if (range.size < needed) {
    throw new TypeError(
      `${labelOf(value)}: its memory has ${range.size} bytes, ${value.dtype} of shape ` +
        `${formatShape(value.shape)} needs ${needed}; the store and the model have to agree`,
    );
  }
  return { buffer: range.buffer, offset: range.offset, size: region.byteLength };
}
