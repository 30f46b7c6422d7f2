import { layoutTensors, type TensorSpec } from "../../container/format/layout.ts";
import { PIECE_BYTES, piecesOf, spansOf, type SumMemory, type SumPiece } from "../../parallel/sum_memory.ts";
import { writeSpans } from "../../parallel/write_spans.ts";
import { slabRanges } from "../../tensor/slab_ranges.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";

/** In how many pieces the tensors `specs` are sent. */
export function countPieces(specs: readonly TensorSpec[], pieceBytes: number = PIECE_BYTES): number {
  return Math.ceil(layoutTensors(specs).rawByteLength / pieceBytes);
}

/** Those of `slots` in a store, piece by piece: together they are the raw space of the tensors. */
export class MomentPieces {
  readonly #store: TensorStore;
  readonly #memory: SumMemory;
  readonly #pieces: readonly SumPiece[];

  /** @param pieceBytes A multiple of 256. */
  constructor(store: TensorStore, slots: readonly string[], pieceBytes: number = PIECE_BYTES) {
    this.#store = store;
    this.#memory = slots.flatMap((slot) => slabRanges(store.group(slot).tensors)).map((range) => {
      return { range: { buffer: range.buffer, offset: range.offset, size: range.byteLength } };
    });
    this.#pieces = piecesOf(this.#memory, pieceBytes);
  }

  get count(): number {
    return this.#pieces.length;
  }

  async read(index: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(this.#pieces[index]?.byteLength ?? 0);
    await this.#store.gpu.readInto(this.#spans(index).map(({ range }) => range), bytes);
    return bytes;
  }

  async write(index: number, bytes: Uint8Array): Promise<void> {
    await writeSpans(this.#store.gpu, this.#spans(index), bytes);
  }

  #spans(index: number) {
    const piece = this.#pieces[index];
    return piece === undefined ? [] : spansOf(this.#memory, piece);
  }
}
