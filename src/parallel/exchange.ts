import { concatenated } from "../base/bytes/concatenated.ts";
import { Scratch } from "../base/bytes/scratch.ts";
import type { ProcessGroup } from "../checkpoint/ranks/process_group.ts";
import { copyRanges } from "../gpu/copy_ranges.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { NodeSums } from "./node_sums.ts";
import { type Slice, slicesOf } from "./shards.ts";
import { partOf, PIECE_BYTES, piecesOf, spansOf, type SumMemory, type SumPiece } from "./sum_memory.ts";
import type { SumNode } from "./sum_tree.ts";
import { writeSpans } from "./write_spans.ts";

/** How an {@link Exchange} moves what it adds up. */
export interface ExchangeSettings {
  /** The most bytes of a sum that are moved at once. Default 8 MiB. */
  readonly pieceBytes?: number | undefined;
  /**
   * From how many bytes on more than two ranks share the additions of a piece: each gets its part of it from all, and
   * gives the sum of that to all. Of less, each gets everything, which takes one call instead of two. Default 64 KiB.
   */
  readonly sharedBytes?: number | undefined;
}

const SHARED_BYTES = 64 * 1024;
/** Parts of a piece are multiples of this. */
const PART_BYTES = 256;
const NOTHING = new Uint8Array();

/** Of each rank, in order: node `i` of this rank is in slot `i`. */
export type NodesByRank = readonly (readonly SumNode[])[];

/** What a piece needs on its way. The next one has another: it begins before this one is done. */
interface Lane {
  readonly sums: NodeSums;
  /** What this rank sends to be added up, and the sum of its part. */
  readonly sent: Scratch;
  readonly added: Scratch;
}

/** A piece of which this rank has the sum of its part, or is about to. */
interface PartialSum {
  readonly piece: SumPiece;
  readonly sum: Promise<Uint8Array>;
}

/**
 * Adds up what the ranks of a group have on their GPUs, in the order of the tree over shards, so that every rank has
 * the same sum in its first slot. The group only moves bytes: they are added on the GPUs, by the kernel that adds up
 * the shards of one rank, so that it does not matter which rank had which shard, nor which one adds what.
 */
export class Exchange {
  readonly #gpu: GpuDevice;
  readonly #group: ProcessGroup;
  readonly #slots: readonly SumMemory[];
  readonly #pieces: readonly SumPiece[];
  readonly #sharedBytes: number;
  readonly #lanes: readonly [Lane, Lane];

  constructor(
    gpu: GpuDevice,
    group: ProcessGroup,
    slots: readonly SumMemory[],
    { pieceBytes = PIECE_BYTES, sharedBytes = SHARED_BYTES }: ExchangeSettings = {},
  ) {
    this.#gpu = gpu;
    this.#group = group;
    this.#slots = slots;
    this.#sharedBytes = sharedBytes;
    this.#pieces = piecesOf(slots[0] ?? [], pieceBytes);
    const most = this.#pieces.reduce((bytes, piece) => Math.max(bytes, this.#ownPartOf(piece).size), 0);
    const lane = (): Lane => {
      return { sums: new NodeSums(gpu, most), sent: new Scratch(), added: new Scratch() };
    };
    this.#lanes = [lane(), lane()];
  }

  /**
   * Every rank calls it with the same nodes.
   *
   * @param message What every rank is to know of this one: of the same length on all.
   * @returns The messages of all ranks.
   * @throws what the group throws.
   */
  async reduce(byRank: NodesByRank, message: Uint8Array): Promise<Uint8Array[]> {
    const own = byRank[this.#group.rank] ?? [];
    const messages: Uint8Array[] = [];
    let coming = this.#read(0, own.length, message);
    let before: PartialSum | undefined;
    for (const [index, piece] of this.#pieces.entries()) {
      const bytes = await coming;
      // The next piece comes from the GPU while this one is on its way.
      coming = this.#read(index + 1, own.length, NOTHING);
      const head = index === 0 ? message.byteLength : 0;
      const received = await this.#move(piece, bytes, own.length, head);
      if (index === 0) {
        const { rank } = this.#group;
        messages.push(...received.map((each, from) => from === rank ? message : each.slice(0, head)));
      }
      const lane = this.#lane(index);
      await this.#add(lane, piece, byRank, received.map((each) => each.subarray(head)));
      const next = this.#keep(lane, piece);
      if (before !== undefined) await this.#give(before);
      before = next;
    }
    if (before !== undefined) await this.#give(before);
    return messages;
  }

  close(): void {
    for (const { sums } of this.#lanes) sums.close();
  }

  #lane(index: number): Lane {
    return this.#lanes[index % 2 === 0 ? 0 : 1];
  }

  #isShared({ byteLength }: SumPiece): boolean {
    return this.#group.size > 2 && byteLength >= this.#sharedBytes;
  }

  /** The part of a piece that each rank adds up, in bytes; it may be empty. */
  #partsOf({ byteLength }: SumPiece): Slice[] {
    const { size } = this.#group;
    const parts = slicesOf(byteLength / PART_BYTES, size);
    return Array.from({ length: size }, (_, rank): Slice => {
      const { first, size } = parts[rank] ?? { first: 0, size: 0 };
      return { first: first * PART_BYTES, size: size * PART_BYTES };
    });
  }

  /** What this rank adds up of a piece. */
  #ownPartOf(piece: SumPiece): Slice {
    const whole = { first: 0, size: piece.byteLength };
    return this.#isShared(piece) ? this.#partsOf(piece)[this.#group.rank] ?? whole : whole;
  }

  /** What all have to know of this rank, and a piece of every node that it has, one behind the other. */
  #read(index: number, nodes: number, head: Uint8Array): Promise<Uint8Array> {
    const piece = this.#pieces[index];
    const reading = piece === undefined
      ? Promise.resolve(NOTHING)
      : this.#readNodes(this.#lane(index), piece, nodes, head);
    // It is waited for later, if nothing else fails until then.
    reading.catch(() => undefined);
    return reading;
  }

  async #readNodes({ sent }: Lane, piece: SumPiece, nodes: number, head: Uint8Array): Promise<Uint8Array> {
    const bytes = sent.take(head.byteLength + nodes * piece.byteLength);
    bytes.set(head);
    const spans = this.#slots.slice(0, nodes).flatMap((slot) => spansOf(slot, piece));
    if (spans.length > 0) {
      await this.#gpu.readInto(spans.map(({ range }) => range), bytes.subarray(head.byteLength));
    }
    return bytes;
  }

  /**
   * Gives every rank what it adds up, and gets the same from all. Of much, this rank's own is not copied: it is on its
   * GPU.
   *
   * @param head So many bytes of `bytes` are for all of them.
   */
  async #move(piece: SumPiece, bytes: Uint8Array, nodes: number, head: number): Promise<Uint8Array[]> {
    if (piece.byteLength < this.#sharedBytes) return await this.#group.allGather(bytes);
    const parts = this.#partsOf(piece).map(({ first, size }, rank) => {
      if (rank === this.#group.rank) return NOTHING;
      if (!this.#isShared(piece)) return bytes;
      const ofNodes = Array.from({ length: nodes }, (_, node) => {
        const from = head + node * piece.byteLength + first;
        return bytes.subarray(from, from + size);
      });
      return joined([bytes.subarray(0, head), ...ofNodes]);
    });
    return await this.#group.allToAll(parts);
  }

  async #add(
    { sums }: Lane,
    piece: SumPiece,
    byRank: NodesByRank,
    received: readonly Uint8Array[],
  ): Promise<void> {
    const { first, size } = this.#ownPartOf(piece);
    if (size === 0) return;
    const contents = byRank.flatMap((nodes, rank) =>
      nodes.map((_, index) =>
        rank === this.#group.rank
          ? partOf(spansOf(this.#slots[index] ?? [], piece), { first, size })
          : received[rank]?.subarray(index * size, (index + 1) * size) ?? NOTHING
      )
    );
    await sums.add(byRank.flat(), contents, Math.max(0, piece.integersFrom - first / 4));
  }

  /** Leaves the sum of a piece in the first slot; where this is a part of it, that still has to be given to all. */
  #keep(lane: Lane, piece: SumPiece): PartialSum | undefined {
    if (this.#isShared(piece)) {
      const sum = this.#readSum(lane, this.#ownPartOf(piece));
      sum.catch(() => undefined);
      return { piece, sum };
    }
    const { sum: buffer } = lane.sums;
    const spans = spansOf(this.#slots[0] ?? [], piece);
    const copies = spans.map(({ range, at }) => [{ buffer, offset: at, size: range.size }, range] as const);
    copyRanges(this.#gpu, "sum of all ranks", copies);
    return undefined;
  }

  async #readSum({ sums, added }: Lane, { size }: Slice): Promise<Uint8Array> {
    const bytes = added.take(size);
    if (size > 0) await this.#gpu.readInto([{ buffer: sums.sum, offset: 0, size }], bytes);
    return bytes;
  }

  /** Gives the part of this rank to all, and leaves those of all in the first slot. */
  async #give({ piece, sum }: PartialSum): Promise<void> {
    const whole = joined(await this.#group.allGather(await sum));
    await writeSpans(this.#gpu, spansOf(this.#slots[0] ?? [], piece), whole);
  }
}

/** Some bytes behind one another; where these are of one array, that one. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const some = parts.filter(({ byteLength }) => byteLength > 0);
  const [first = NOTHING] = some;
  return some.length <= 1 ? first : concatenated(some);
}
