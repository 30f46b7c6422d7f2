import { BufferUsage } from "../gpu/constants.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import { copyRanges } from "../gpu/copy_ranges.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { Executable } from "../graph/executable.ts";
import type { UpdateBinding } from "../graph/program.ts";
import { addInto } from "../kernels/optimizer/add_into.ts";
import type { SumSpan } from "./sum_memory.ts";
import { additionsOf, type SumNode } from "./sum_tree.ts";
import { writeSpans } from "./write_spans.ts";

const STORAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

/** What a node of the tree has: bytes of another rank, or where it is on this rank's GPU. */
export type NodeContent = Uint8Array | readonly SumSpan[];

/** Adds up on the GPU what nodes of the tree have, in memory of its own. */
export class NodeSums {
  readonly #gpu: GpuDevice;
  readonly #byteLength: number;
  /** One for each node. */
  readonly #buffers: GPUBuffer[] = [];
  readonly #adders = new Map<string, Executable>();

  /** @param byteLength The most bytes that a node has. Memory is allocated as it is needed. */
  constructor(gpu: GpuDevice, byteLength: number) {
    this.#gpu = gpu;
    this.#byteLength = byteLength;
  }

  /**
   * Adds up what `nodes` have, which are all that there are. The sum is in {@link NodeSums.sum}, as long, once what is
   * submitted by then is done.
   *
   * @param integersFrom From which word on they are whole numbers.
   */
  async add(
    nodes: readonly SumNode[],
    contents: readonly NodeContent[],
    integersFrom: number,
  ): Promise<void> {
    const adders: Executable[] = [];
    for (const { into, from } of additionsOf(nodes)) adders.push(await this.#adder(into, from, integersFrom));
    for (const [place, content] of contents.entries()) await this.#set(place, content);
    for (const adder of adders) adder.run({});
  }

  /** Where the sum is. */
  get sum(): GPUBuffer {
    return this.#at(0);
  }

  close(): void {
    for (const buffer of this.#buffers) this.#gpu.destroyBuffer(buffer);
    this.#buffers.length = 0;
    for (const adder of this.#adders.values()) adder.close();
    this.#adders.clear();
  }

  async #set(place: number, content: NodeContent): Promise<void> {
    const into = this.#at(place);
    if (content instanceof Uint8Array) {
      const range = { buffer: into, offset: 0, size: content.byteLength };
      return await writeSpans(this.#gpu, [{ range, at: 0 }], content);
    }
    const copies = content.map(({ range, at }) =>
      [range, { buffer: into, offset: at, size: range.size }] as const
    );
    copyRanges(this.#gpu, "what this rank adds", copies);
  }

  #at(place: number): GPUBuffer {
    const known = this.#buffers[place];
    if (known !== undefined) return known;
    const made = this.#gpu.createBuffer(`sum of ranks ${place}`, this.#byteLength, STORAGE);
    this.#buffers[place] = made;
    return made;
  }

  /** What adds one node to another. It adds all that a node may have, also where that is less. */
  async #adder(into: number, from: number, integersFrom: number): Promise<Executable> {
    const key = `${into} ${from} ${integersFrom}`;
    const known = this.#adders.get(key);
    if (known !== undefined) return known;
    const size = this.#byteLength;
    const range = (place: number): BufferRange => ({ buffer: this.#at(place), offset: 0, size });
    const update = addInto<UpdateBinding>(
      { addend: range(from), sum: range(into) },
      { count: size / 4, integersFrom: Math.min(integersFrom, size / 4) },
    );
    const program = { inputs: [], outputs: {}, updates: [update], parameters: unknown };
    const made = await Executable.compile(this.#gpu, program, { label: "sum over ranks" });
    this.#adders.set(key, made);
    return made;
  }
}

function unknown(name: string): never {
  throw new RangeError(`A sum over ranks has no parameter "${name}"`);
}
