import { alignUp } from "../base/checked.ts";
import { byteSizeOf } from "../base/dtype.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import { elementwise } from "../kernels/elementwise/elementwise.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import { formatShape } from "../tensor/shape.ts";
import { definitionOf, isResultOf } from "./create_value.ts";
import { fuse, type FusedGroup } from "./fusion.ts";
import { type Binding, item, type LoweringContext, type Region, type Step } from "./op.ts";
import { requireComputeDType } from "./ops/requirements.ts";
import { constantOp, inputOp, parameterOp } from "./ops/sources.ts";
import type { Program } from "./program.ts";
import { labelOf, reachable, sizeOf, type Value } from "./value.ts";
import { broadcastWalk } from "./walks.ts";

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
  readonly #locate: Program["parameters"];
  readonly #numbers: Map<Value, number>;
  readonly #regions = new Map<Value, Region>();
  /** Companions that the program reads, by the value whose kernel fills them. */
  readonly #companions = new Map<Value, Region>();
  #lastRegion = 0;

  constructor(
    roots: readonly Value[],
    inputs: readonly Value[],
    locate: Program["parameters"],
    variant: ChooseVariant,
  ) {
    this.variant = variant;
    this.#locate = locate;
    const values = reachable([...inputs, ...roots]);
    this.#numbers = new Map(values.map((value, index) => [value, index]));
    for (const value of values) {
      if (definitionOf(value).lowering.kind === "companion") this.#addCompanion(value);
    }
    const groups = fuse(roots);
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
      case "kernel": {
        this.computed.add(this.regionOf(value));
        const text = this.#textOf(value, value.inputs);
        for (const step of lowering.steps(value, this)) this.add(step, text, [value]);
        return;
      }
      default:
        throw new TypeError(`There is no lowering ${lowering satisfies never}`);
    }
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

  #lowerGroup({ root, leaves, expression, members, usesScalars }: FusedGroup): void {
    const output = this.regionOf(root);
    this.computed.add(output);
    this.fusedOps += members.length - 1;
    const ops = members.map((member) => member.op).join(" ");
    const dispatch = elementwise<Binding>({
      label: `${ops} ${formatShape(root.shape)}`,
      inputs: leaves.map((leaf) => ({
        binding: this.regionOf(leaf.source),
        dtype: leaf.source.dtype,
        fill: leaf.fill,
        ...broadcastWalk(leaf, root.shape),
      })),
      outputs: [{ binding: output, dtype: requireComputeDType(root.op, root), expression }],
      shape: root.shape,
      scalars: usesScalars ? "scalars" : undefined,
    });
    const text = this.#textOf(root, leaves.map(({ source }) => source));
    this.add({ dispatch, writes: [output] }, text, [...members.filter((member) => member !== root), root]);
  }

  #textOf(result: Value, operands: readonly Value[]): string {
    const list = operands.map((operand) => `%${this.#numbers.get(operand)}`).join(", ");
    return `${this.nameOf(result)}${list === "" ? "" : ` <- ${list}`}`;
  }
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
