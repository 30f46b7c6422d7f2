import type { ProcessGroup } from "../checkpoint/ranks/process_group.ts";
import { BufferUsage } from "../gpu/constants.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { Executable } from "../graph/executable.ts";
import type { UpdateBinding } from "../graph/program.ts";
import { addInto } from "../kernels/optimizer/add_into.ts";
import { piecesOf, spansOf, type SumMemory, type SumPiece } from "./sum_memory.ts";
import { additionsOf, type SumNode } from "./sum_tree.ts";

/** The most bytes of a sum that are on the host at once, as one rank has them. */
const PIECE_BYTES = 8 * 1024 * 1024;

const STORAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

/** What each rank has to add. */
export interface ExchangedNodes {
  /** Of each rank, in order: node `i` of this rank is in slot `i`. */
  readonly byRank: readonly (readonly SumNode[])[];
}

/**
 * Adds up what the ranks of a group have on their GPUs, in the order of the tree over shards, so that every rank has
 * the same sum in its first slot. The group only moves bytes: they are added on each GPU, by the kernel that adds up
 * the shards of one rank, so that it does not matter which rank had which shard.
 */
export class Exchange {
  readonly #gpu: GpuDevice;
  readonly #group: ProcessGroup;
  readonly #slots: readonly SumMemory[];
  readonly #pieces: readonly SumPiece[];
  /** Where a piece of each node is while they are added up. */
  readonly #scratch: GPUBuffer[] = [];
  readonly #adders = new Map<string, Executable>();

  /** @param pieceBytes How much of the sum is moved at once. */
  constructor(
    gpu: GpuDevice,
    group: ProcessGroup,
    slots: readonly SumMemory[],
    pieceBytes: number = PIECE_BYTES,
  ) {
    this.#gpu = gpu;
    this.#group = group;
    this.#slots = slots;
    this.#pieces = piecesOf(slots[0] ?? [], pieceBytes);
  }

  /**
   * Every rank calls it with the same nodes.
   *
   * @param message What every rank is to know of this one: of the same length on all.
   * @returns The messages of all ranks.
   * @throws what the group throws.
   */
  async reduce({ byRank }: ExchangedNodes, message: Uint8Array): Promise<Uint8Array[]> {
    const own = byRank[this.#group.rank] ?? [];
    const messages: Uint8Array[] = [];
    let coming = this.#read(0, own.length, message);
    for (const [index, piece] of this.#pieces.entries()) {
      const bytes = await coming;
      // The next piece comes from the GPU while this one is on its way.
      coming = this.#read(index + 1, own.length, NOTHING);
      const received = await this.#group.allGather(bytes).catch(async (error: unknown) => {
        await coming.catch(() => undefined);
        throw error;
      });
      const length = index === 0 ? message.byteLength : 0;
      if (index === 0) messages.push(...received.map((each) => each.subarray(0, length)));
      await this.#sum(piece, byRank, received.map((each) => each.subarray(length)));
    }
    return messages;
  }

  close(): void {
    for (const buffer of this.#scratch) this.#gpu.destroyBuffer(buffer);
    this.#scratch.length = 0;
    for (const adder of this.#adders.values()) adder.close();
    this.#adders.clear();
  }

  /** A piece of every node of this rank, one behind the other. */
  async #read(index: number, nodes: number, head: Uint8Array): Promise<Uint8Array> {
    const piece = this.#pieces[index];
    if (piece === undefined) return NOTHING;
    const spans = this.#slots.slice(0, nodes).flatMap((slot) => spansOf(slot, piece));
    const bytes = new Uint8Array(head.byteLength + nodes * piece.byteLength);
    bytes.set(head);
    let at = head.byteLength;
    for (const each of spans.length === 0 ? [] : await this.#gpu.read(spans.map(({ range }) => range))) {
      bytes.set(each, at);
      at += each.byteLength;
    }
    return bytes;
  }

  /** Adds up a piece of all nodes, and leaves it in the first slot. */
  async #sum(
    piece: SumPiece,
    byRank: ExchangedNodes["byRank"],
    received: readonly Uint8Array[],
  ): Promise<void> {
    const { byteLength } = piece;
    const nodes = byRank.flat();
    const additions = additionsOf(nodes);
    const adders: Executable[] = [];
    for (const { into, from } of additions) adders.push(await this.#adder(into, from, piece.integersFrom));
    let place = 0;
    byRank.forEach((ofRank, rank) => {
      ofRank.forEach((_, index) => {
        const bytes = received[rank]?.subarray(index * byteLength, (index + 1) * byteLength) ?? NOTHING;
        this.#gpu.write(this.#scratchAt(place++), 0, bytes);
      });
    });
    for (const adder of adders) adder.run({});
    const encoder = this.#gpu.device.createCommandEncoder({ label: "sum of all ranks" });
    const sum = this.#scratchAt(0);
    for (const { range: { buffer, offset, size }, at } of spansOf(this.#slots[0] ?? [], piece)) {
      encoder.copyBufferToBuffer(sum, at, buffer, offset, size);
    }
    this.#gpu.submit(encoder);
  }

  #scratchAt(place: number): GPUBuffer {
    const known = this.#scratch[place];
    if (known !== undefined) return known;
    const made = this.#gpu.createBuffer(`sum of ranks ${place}`, this.#scratchBytes, STORAGE);
    this.#scratch[place] = made;
    return made;
  }

  get #scratchBytes(): number {
    return this.#pieces.reduce((most, { byteLength }) => Math.max(most, byteLength), 0);
  }

  /** What adds a piece of one node to that of another. It adds a whole piece, also where that is shorter. */
  async #adder(into: number, from: number, integersFrom: number): Promise<Executable> {
    const key = `${into} ${from} ${integersFrom}`;
    const known = this.#adders.get(key);
    if (known !== undefined) return known;
    const size = this.#scratchBytes;
    const range = (place: number): BufferRange => ({ buffer: this.#scratchAt(place), offset: 0, size });
    const update = addInto<UpdateBinding>(
      { addend: range(from), sum: range(into) },
      { count: size / 4, integersFrom },
    );
    const program = { inputs: [], outputs: {}, updates: [update], parameters: unknown };
    const made = await Executable.compile(this.#gpu, program, { label: "sum over ranks" });
    this.#adders.set(key, made);
    return made;
  }
}

const NOTHING = new Uint8Array();

function unknown(name: string): never {
  throw new RangeError(`A sum over ranks has no parameter "${name}"`);
}
