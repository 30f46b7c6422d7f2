import { Scratch } from "../base/bytes/scratch.ts";
import type { ProcessGroup } from "../checkpoint/ranks/process_group.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { PIECE_BYTES, piecesOf, spansOf, type SumMemory, type SumPiece } from "./sum_memory.ts";
import { writeSpans } from "./write_spans.ts";

const ALIGNMENT = 256;

/** Has every rank get what each of them has computed of a row of memory, piece by piece. */
export class Gather {
  readonly #gpu: GpuDevice;
  readonly #group: ProcessGroup;
  /** What each rank gives, and where the others have it. */
  readonly #memory: readonly SumMemory[];
  readonly #pieces: readonly (readonly SumPiece[])[];
  /** For one piece on its way, and the next one. */
  readonly #bytes = [new Scratch(), new Scratch()] as const;

  /**
   * @param memory Of each rank in order, what it gives: as long on all ranks.
   * @param pieceBytes The most bytes that all ranks together give at once.
   */
  constructor(
    gpu: GpuDevice,
    group: ProcessGroup,
    memory: readonly SumMemory[],
    pieceBytes: number = PIECE_BYTES,
  ) {
    this.#gpu = gpu;
    this.#group = group;
    this.#memory = memory;
    const most = Math.max(ALIGNMENT, Math.floor(pieceBytes / group.size / ALIGNMENT) * ALIGNMENT);
    this.#pieces = memory.map((each) => piecesOf(each, most));
  }

  /** Every rank calls it. @throws what the group throws. */
  async run(): Promise<void> {
    const rounds = Math.max(...this.#pieces.map(({ length }) => length));
    let coming = this.#read(0);
    for (let round = 0; round < rounds; round++) {
      const bytes = await coming;
      // The next piece comes from the GPU while this one is on its way.
      coming = this.#read(round + 1);
      for (const [rank, received] of (await this.#group.allGather(bytes)).entries()) {
        if (rank !== this.#group.rank) await writeSpans(this.#gpu, this.#spans(rank, round), received);
      }
    }
  }

  #read(round: number): Promise<Uint8Array> {
    const reading = this.#readPiece(round);
    // It is waited for later, if nothing else fails until then.
    reading.catch(() => undefined);
    return reading;
  }

  async #readPiece(round: number): Promise<Uint8Array> {
    const { rank } = this.#group;
    const bytes = this.#bytes[round % 2 === 0 ? 0 : 1].take(this.#pieces[rank]?.[round]?.byteLength ?? 0);
    await this.#gpu.readInto(this.#spans(rank, round).map(({ range }) => range), bytes);
    return bytes;
  }

  #spans(rank: number, round: number) {
    const [memory, piece] = [this.#memory[rank], this.#pieces[rank]?.[round]];
    return memory === undefined || piece === undefined ? [] : spansOf(memory, piece);
  }
}
