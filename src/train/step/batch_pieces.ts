import type { Parts } from "../../base/parts/named.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import { div } from "../../graph/ops/arithmetic.ts";
import { equal, where } from "../../graph/ops/comparison.ts";
import { parameter } from "../../graph/ops/sources.ts";
import type { Value } from "../../graph/value.ts";
import type { Model } from "../../nn/model.ts";
import { type StoredTensor, TensorGroup } from "../../tensor/tensor_group.ts";
import { type BatchTerm, sumOfValues } from "../measure/batch_loss.ts";
import { allocateBuffers } from "./buffer_updates.ts";
import { nameOf } from "./update_ranges.ts";

/** Some neighbours among the examples of a batch, which are computed together. */
export interface BatchPiece {
  /** Its place in the batch, from 0. */
  readonly first: number;
  readonly size: number;
}

/** A batch of `size` examples in pieces of at most `most`; the last one may be smaller. */
export function piecesOf(size: number, most: number = size): BatchPiece[] {
  const pieces: BatchPiece[] = [];
  for (let first = 0; first < size; first += most) pieces.push({ first, size: Math.min(most, size - first) });
  return pieces;
}

/** The examples of a piece, of a batch of `size` examples, as bytes. */
export function pieceOf(
  batch: Parts<ArrayBufferView>,
  size: number,
  { first, size: count }: BatchPiece,
): Parts<ArrayBufferView> {
  const part = (all: ArrayBufferView): Uint8Array => {
    const perExample = all.byteLength / size;
    return new Uint8Array(all.buffer, all.byteOffset + first * perExample, count * perExample);
  };
  return Object.fromEntries(Object.entries(batch).map(([name, all]) => [name, part(all)]));
}

/** What a piece knows of the whole batch: by what its sums are divided. */
export interface WholeBatch {
  /** What is added to the mean of the term over the whole batch. */
  shareOf(term: BatchTerm, index: number): Value;
  /** A regulariser's part of each piece. */
  shareOfPenalty(penalty: Value): Value;
}

/** How many examples the whole batch has. */
export const EXAMPLES = "examples of the batch";
/** In how many pieces it is computed. */
export const PIECES = "pieces of the batch";

/** What the weight of term `index` of the loss, over the whole batch, is called. */
export function wholeWeight(index: number): string {
  return `weight ${index} of the batch`;
}

/** Numbers that stand in memory of their own, by their names. */
export function scalarSpecs(names: readonly string[]): TensorSpec[] {
  return names.map((name) => ({ name, dtype: "f32", shape: [] }));
}

/** The numbers of the whole batch, which are in {@link PieceMemory}. */
export const WHOLE_BATCH: WholeBatch = {
  shareOf(term, index) {
    const whole = parameter(term.weight === undefined ? EXAMPLES : wholeWeight(index), "f32", []);
    return div(sumOfValues(term), where(equal(whole, 0), 1, whole));
  },
  shareOfPenalty: (penalty) => div(penalty, parameter(PIECES, "f32", [])),
};

/** Memory of a step that computes its batch in pieces, besides that of every step. */
export class PieceMemory {
  /** Of one piece; those of all pieces are added up where every step has its gradients. */
  readonly gradients: TensorGroup;
  /** The numbers of the step, added up over the pieces. */
  readonly sums: TensorGroup;
  /** The buffers of the model as the pieces so far left them. */
  readonly buffers: TensorGroup;
  /** What is known of the whole batch. */
  readonly #whole: TensorGroup;
  readonly #model: Model;

  /**
   * Allocates. After an error nothing is left allocated.
   *
   * @param gradients Where all pieces are added up.
   * @param numbers Names of the numbers of a step.
   * @param terms How many terms the loss has.
   */
  constructor(model: Model, gradients: TensorGroup, numbers: readonly string[], terms: number) {
    this.#model = model;
    const { gpu, slabBytes } = model.store;
    const made: TensorGroup[] = [];
    const create = (name: string, specs: Parameters<typeof TensorGroup.allocate>[2]): TensorGroup => {
      const group = TensorGroup.allocate(gpu, name, specs, slabBytes);
      made.push(group);
      return group;
    };
    try {
      this.gradients = create("gradients of a piece", gradients.specs());
      this.sums = create("sums", scalarSpecs(numbers));
      this.buffers = allocateBuffers(model, "buffers of a piece");
      made.push(this.buffers);
      const weights = Array.from({ length: terms }, (_, index) => wholeWeight(index));
      this.#whole = create("batch", scalarSpecs([EXAMPLES, PIECES, ...weights]));
    } catch (error) {
      free(model, made);
      throw error;
    }
  }

  /** Where the sum of a number of the step is. */
  sumOf(number: string): BufferRange {
    return rangeIn(this.sums, number);
  }

  /** Where a number of the whole batch is. */
  wholeOf(name: string): BufferRange {
    return rangeIn(this.#whole, name);
  }

  /** Where the buffer `name` of the model is between two pieces. */
  bufferOf(name: string): StoredTensor {
    return tensorIn(this.buffers, name);
  }

  /** Where the parameter `name` of a piece's program is: a number of the whole batch, or a tensor of the model. */
  locate(name: string): BufferRange {
    const own = [this.#whole, this.buffers].find(({ tensors }) =>
      tensors.some((tensor) => nameOf(tensor) === name)
    );
    return own === undefined ? this.#model.rangeOf(name) : rangeIn(own, name);
  }

  /** Says how many examples and pieces the next batch has, and lets its first piece begin with the model's buffers. */
  begin(examples: number, pieces: number): void {
    const { gpu } = this.#model.store;
    this.#beginBuffers();
    for (const [name, number] of [[EXAMPLES, examples], [PIECES, pieces]] as const) {
      const { buffer, offset } = this.wholeOf(name);
      gpu.write(buffer, offset, new Uint8Array(Float32Array.of(number).buffer));
    }
  }

  close(): void {
    free(this.#model, [this.gradients, this.sums, this.buffers, this.#whole]);
  }

  #beginBuffers(): void {
    const { gpu } = this.#model.store;
    if (this.buffers.byteLength === 0) return;
    const encoder = gpu.device.createCommandEncoder({ label: "buffers begin" });
    for (const tensor of this.buffers.tensors) {
      const { range: into } = tensor;
      const from = this.#model.rangeOf(nameOf(tensor));
      if (into.size > 0) {
        encoder.copyBufferToBuffer(from.buffer, from.offset, into.buffer, into.offset, into.size);
      }
    }
    gpu.submit(encoder);
  }
}

function free({ store: { gpu } }: Model, groups: readonly TensorGroup[]): void {
  for (const { buffer } of groups.flatMap(({ slabs }) => slabs)) gpu.destroyBuffer(buffer);
}

/** @throws RangeError where the group has no such tensor. */
export function rangeIn(group: TensorGroup, name: string): BufferRange {
  return tensorIn(group, name).range;
}

function tensorIn({ name: group, tensors }: TensorGroup, name: string): StoredTensor {
  const found = tensors.find((tensor) => nameOf(tensor) === name);
  if (found === undefined) throw new RangeError(`There is no "${name}" among the ${group}`);
  return found;
}
