import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { Model } from "../../nn/model.ts";
import { bytesOf, type SumMemory } from "../../parallel/sum_memory.ts";
import { slabRanges } from "../../tensor/slab_ranges.ts";
import { type StoredTensor, TensorGroup } from "../../tensor/tensor_group.ts";
import { EXAMPLES, PIECES, scalarSpecs, wholeWeight } from "./batch_pieces.ts";
import { nameOf } from "./update_ranges.ts";

/** Which shard is being computed, for what only the first one says. */
export const SHARD = "shard of the batch";

/** What a shard leaves, or what several of them add up to. */
export interface ShardNumbers {
  readonly gradients: TensorGroup;
  /** "loss" and what is kept beside it. */
  readonly numbers: TensorGroup;
  /** What the buffers of the model become, those of whole numbers last. */
  readonly buffers: TensorGroup;
}

/** Memory of a step that computes its batch in shards, besides that of every step. */
export class ShardMemory {
  /** Of the shard that is being computed. */
  readonly leaf: ShardNumbers;
  /** Of sums over shards. The first one is, in the end, that of all. */
  readonly slots: readonly ShardNumbers[];
  /** Weights of the examples of a shard, and sums of them; the first one is that of the whole batch. */
  readonly weights: { readonly leaf: TensorGroup; readonly slots: readonly TensorGroup[] };
  /** What else is known of the whole batch. */
  readonly #whole: TensorGroup;
  readonly #model: Model;
  readonly #own: TensorGroup[] = [];

  /**
   * Allocates. After an error nothing is left allocated.
   *
   * @param gradients Where those of the whole batch are to be.
   * @param numbers Names of the numbers of a step.
   * @param terms How many terms the loss has.
   * @param slots How many sums are open at once; of weights, whoever computes the shards.
   */
  constructor(
    model: Model,
    gradients: TensorGroup,
    { numbers, terms, slots, weightSlots }: {
      readonly numbers: readonly string[];
      readonly terms: number;
      readonly slots: number;
      readonly weightSlots: number;
    },
  ) {
    this.#model = model;
    const weights = Array.from({ length: terms }, (_, index) => wholeWeight(index));
    const others = Array.from({ length: slots }, (_, index) => index);
    const one = (of: TensorGroup | undefined): ShardNumbers => ({
      gradients: of ?? this.#allocate("gradients of shards", gradients.specs()),
      numbers: this.#allocate("numbers of shards", scalarSpecs(numbers)),
      buffers: this.#allocate("buffers of shards", bufferSpecs(model)),
    });
    try {
      this.leaf = one(undefined);
      this.slots = others.map((index) => one(index === 0 ? gradients : undefined));
      const ofWeights = (): TensorGroup => this.#allocate("weights of shards", scalarSpecs(weights));
      this.weights = { leaf: ofWeights(), slots: Array.from({ length: weightSlots }, ofWeights) };
      this.#whole = this.#allocate("batch", scalarSpecs([EXAMPLES, PIECES, SHARD]));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The sums over all shards. */
  get sums(): ShardNumbers {
    return this.slots[0] ?? this.leaf;
  }

  /** Bytes of all gradients that are no step's. */
  get gradientBytes(): number {
    return this.slots.length * this.leaf.gradients.byteLength;
  }

  /** Where the parameter `name` of a shard's program is: a number of the whole batch, or a tensor of the model. */
  locate(name: string): BufferRange {
    const [weights = this.weights.leaf] = this.weights.slots;
    for (const { tensors } of [this.#whole, weights]) {
      const found = tensors.find((tensor) => nameOf(tensor) === name);
      if (found !== undefined) return found.range;
    }
    return this.#model.rangeOf(name);
  }

  /** Says how many examples and shards the next batch has. */
  begin(examples: number, shards: number): void {
    this.#write(EXAMPLES, examples);
    this.#write(PIECES, shards);
  }

  /** Says which shard comes next. */
  beginShard(index: number): void {
    if (this.leaf.buffers.byteLength > 0) this.#write(SHARD, index);
  }

  close(): void {
    const { gpu } = this.#model.store;
    for (const { buffer } of this.#own.flatMap(({ slabs }) => slabs)) gpu.destroyBuffer(buffer);
    this.#own.length = 0;
  }

  #write(name: string, number: number): void {
    const { buffer, offset } = this.locate(name);
    this.#model.store.gpu.write(buffer, offset, new Uint8Array(Float32Array.of(number).buffer));
  }

  #allocate(label: string, specs: Parameters<typeof TensorGroup.allocate>[2]): TensorGroup {
    const { gpu, slabBytes } = this.#model.store;
    const group = TensorGroup.allocate(gpu, label, specs, slabBytes);
    this.#own.push(group);
    return group;
  }
}

/** As one row of words to be added up. */
export function sumMemoryOf({ gradients, numbers, buffers }: ShardNumbers): SumMemory {
  return [...rangesOf(gradients.tensors), ...rangesOf(numbers.tensors), ...rangesOf(buffers.tensors)];
}

/** What every adapter binds at once, in bytes. */
const EVERY_BINDING = 128 * 1024 * 1024;

/** The ranges of a group of f32, or of one in which whole numbers come last. */
export function rangesOf(tensors: readonly StoredTensor[]): SumMemory {
  const isReal = ({ dtype }: StoredTensor): boolean => dtype === "f32";
  const ranges = (some: readonly StoredTensor[], integersFrom: number | undefined): SumMemory =>
    slabRanges(some, EVERY_BINDING).map(({ buffer, offset, byteLength }) => {
      return { range: { buffer, offset, size: byteLength }, integersFrom };
    });
  const reals = ranges(tensors.filter(isReal), undefined);
  const integers = ranges(tensors.filter((tensor) => !isReal(tensor)), 0);
  return bytesOf(integers) === 0 ? reals : [...reals, ...integers];
}

function bufferSpecs({ buffers }: Model) {
  const specs = buffers.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  return [
    ...specs.filter(({ dtype }) => dtype === "f32"),
    ...specs.filter(({ dtype }) => dtype !== "f32"),
  ];
}
