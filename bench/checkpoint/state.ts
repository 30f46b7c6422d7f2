import { Buffer } from "node:buffer";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { layoutTensors, type TensorSpec } from "../../src/container/format/layout.ts";
import { FileSource } from "../../src/storage/file_source.ts";
import type { StoredTensor } from "../../src/tensor/tensor_group.ts";
import type { TensorStore } from "../../src/tensor/tensor_store.ts";

/** GPT-2 small has 12 blocks of width 768, 50,257 tokens and 1,024 positions: 124 M parameters. */
const WIDTH = 768;
const BLOCKS = 4;
const TOKENS = 20_940;
const POSITIONS = 1024;
const FULL_PARAMETERS = 124_439_808;
/** Part of the tokens that no batch has had yet: their moments are zero. */
const UNSEEN = 0.15;
const NORMALS = 1 << 20;
const MARKED = "gpt2.ln_f.bias";

/** The tensors of GPT-2 small, of which a third of the blocks and five twelfths of the tokens are left. */
function gpt2Specs(): TensorSpec[] {
  const f32 = (name: string, ...shape: number[]): TensorSpec => ({ name, dtype: "f32", shape });
  const linear = (name: string, from: number, to: number): TensorSpec[] => [
    f32(`${name}.weight`, from, to),
    f32(`${name}.bias`, to),
  ];
  const norm = (name: string): TensorSpec[] => [f32(`${name}.weight`, WIDTH), f32(`${name}.bias`, WIDTH)];
  const block = (index: number): TensorSpec[] => [
    ...norm(`h.${index}.ln_1`),
    ...linear(`h.${index}.attn.c_attn`, WIDTH, 3 * WIDTH),
    ...linear(`h.${index}.attn.c_proj`, WIDTH, WIDTH),
    ...norm(`h.${index}.ln_2`),
    ...linear(`h.${index}.mlp.c_fc`, WIDTH, 4 * WIDTH),
    ...linear(`h.${index}.mlp.c_proj`, 4 * WIDTH, WIDTH),
  ];
  const blocks = Array.from({ length: BLOCKS }, (_, index) => block(index));
  return [f32("wte", TOKENS, WIDTH), f32("wpe", POSITIONS, WIDTH), ...blocks.flat(), ...norm("ln_f")];
}

/**
 * The state of a training of GPT-2 small with Adam, scaled to a little over 512 MiB: on the GPU in a store, and the
 * same bytes on the host, to compare with and for what is written without a GPU.
 */
export class BenchState {
  readonly store: TensorStore;
  /** The raw space of a checkpoint: all tensors in order, each at a multiple of 256. Page-aligned, for O_DIRECT. */
  readonly bytes: Uint8Array;
  /** Where each tensor is in {@link bytes}. */
  readonly #offsets: ReadonlyMap<string, number>;
  #mark = 0;

  private constructor(store: TensorStore, bytes: Uint8Array, offsets: ReadonlyMap<string, number>) {
    this.store = store;
    this.bytes = bytes;
    this.#offsets = offsets;
  }

  /** Defines `gpt2`, `adam.m` and `adam.v` in `store`, and fills them. */
  static async fill(store: TensorStore): Promise<BenchState> {
    const group = store.define("gpt2", gpt2Specs());
    store.mirror("adam.m", "gpt2");
    store.mirror("adam.v", "gpt2");
    const tensors = store.tensors();
    const layout = layoutTensors(tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })));
    const pages = Math.ceil(layout.rawByteLength / 65_536);
    const memory = new WebAssembly.Memory({ initial: pages });
    const bytes = new Uint8Array(memory.buffer, 0, layout.rawByteLength);
    const offsets = new Map(layout.tensors.map(({ name, rawOffset }) => [name, rawOffset]));
    const state = new BenchState(store, bytes, offsets);
    const fill = new Values(group.tensors);
    for (const tensor of tensors) fill.tensor(tensor, state.valuesOf(tensor));
    await state.upload();
    return state;
  }

  /** What this state is, for readers of the figures. */
  get description(): string {
    const parameters = this.store.group("gpt2").tensors.reduce((sum, t) => sum + t.byteLength / 4, 0);
    return `GPT-2 small with Adam's moments, ${BLOCKS} of 12 blocks and ${TOKENS} of 50257 tokens: ` +
      `${(parameters / 1e6).toFixed(1)} M of ${(FULL_PARAMETERS / 1e6).toFixed(1)} M parameters, ` +
      `${this.store.tensors().length} tensors, ${(this.bytes.byteLength / 2 ** 20).toFixed(1)} MiB`;
  }

  valuesOf({ name, byteLength }: StoredTensor): Float32Array {
    return new Float32Array(this.bytes.buffer, this.#offsetOf(name), byteLength / 4);
  }

  /** The slabs in order, each with its place in {@link bytes}. */
  slabs(): { readonly buffer: GPUBuffer; readonly rawOffset: number; readonly byteLength: number }[] {
    let rawOffset = 0;
    return this.store.groups().flatMap((group) => group.slabs).map(({ buffer, byteLength }) => {
      const slab = { buffer, rawOffset, byteLength };
      rawOffset += byteLength;
      return slab;
    });
  }

  /** Puts all bytes on the GPU. */
  async upload(): Promise<void> {
    for (const { buffer, rawOffset, byteLength } of this.slabs()) {
      this.store.gpu.write(buffer, 0, this.bytes.subarray(rawOffset, rawOffset + byteLength));
    }
    await this.store.gpu.idle();
  }

  /** Changes one tensor, here and on the GPU, so that no save can pass for the one before it. */
  mark(): void {
    const tensor = this.store.tensor(MARKED);
    this.valuesOf(tensor).fill(++this.#mark);
    const { buffer, offset } = tensor.range;
    this.store.gpu.write(buffer, offset, this.#part(this.#offsetOf(MARKED), tensor.byteLength));
    this.store.gpu.submit([]);
  }

  /** Fills the GPU's memory with zeros. */
  async clear(): Promise<void> {
    const encoder = this.store.gpu.device.createCommandEncoder();
    for (const { buffer, byteLength } of this.slabs()) encoder.clearBuffer(buffer, 0, byteLength);
    this.store.gpu.submit(encoder);
    await this.store.gpu.idle();
  }

  /** @throws unless the GPU holds the state. */
  async checkGpu(): Promise<void> {
    for (const { buffer, rawOffset, byteLength } of this.slabs()) {
      const [read] = await this.store.gpu.read([{ buffer, offset: 0, size: byteLength }]);
      if (read === undefined) throw new Error("Nothing was read back");
      this.checkPart(read, rawOffset);
    }
  }

  /** @throws unless the checkpoint file at `path` is whole and holds the state, and nothing else. */
  async checkFile(path: string): Promise<void> {
    const rawByteLength = await this.checkStart(path);
    if (rawByteLength === this.bytes.byteLength) return;
    throw new Error(`${path} has ${rawByteLength} raw bytes, expected ${this.bytes.byteLength}`);
  }

  /** As {@link checkFile}, of a file in which more may follow, which is only read. Gives the raw bytes of all of it. */
  async checkStart(path: string): Promise<number> {
    const reader = await ContainerReader.open(await FileSource.open(path));
    try {
      for (const { rawOffset, rawLength } of reader.chunks) {
        const bytes = await reader.readRange(rawOffset, rawLength);
        const ours = Math.min(rawLength, this.bytes.byteLength - rawOffset);
        if (ours > 0) this.checkPart(bytes.subarray(0, ours), rawOffset);
      }
      if (reader.rawByteLength >= this.bytes.byteLength) return reader.rawByteLength;
      throw new Error(`${path} ends after ${reader.rawByteLength} raw bytes`);
    } finally {
      await reader.close();
    }
  }

  /** @throws unless `found` is what the state has from `rawOffset` on. */
  checkPart(found: Uint8Array, rawOffset: number): void {
    if (Buffer.compare(found, this.#part(rawOffset, found.byteLength)) === 0) return;
    throw new Error(
      `The bytes from ${rawOffset} to ${rawOffset + found.byteLength} are not those of the state`,
    );
  }

  /** Where each tensor is in {@link bytes}, without padding. */
  places(): { readonly rawOffset: number; readonly byteLength: number }[] {
    return this.store.tensors().flatMap(({ name, byteLength }) => {
      const rawOffset = this.#offsets.get(name);
      return rawOffset === undefined ? [] : [{ rawOffset, byteLength }];
    });
  }

  #part(rawOffset: number, byteLength: number): Uint8Array {
    return this.bytes.subarray(rawOffset, rawOffset + byteLength);
  }

  #offsetOf(name: string): number {
    const offset = this.#offsets.get(name);
    if (offset === undefined) throw new Error(`There is no tensor "${name}"`);
    return offset;
  }
}

/**
 * Values as a training has them: weights are normal in rows with scales of their own, first moments are normal and far
 * smaller, second moments are squares, and both are zero for tokens that never came.
 */
class Values {
  readonly #normals = new Float32Array(NORMALS);
  readonly #unseen: Uint8Array;
  #state = 4711;

  constructor(parameters: readonly StoredTensor[]) {
    for (let index = 0; index < NORMALS; index++) {
      const radius = Math.sqrt(-2 * Math.log(1 - this.#random()));
      this.#normals[index] = radius * Math.cos(2 * Math.PI * this.#random());
    }
    const tokens = parameters.find(({ name }) => name.endsWith(".wte"))?.shape[0] ?? 0;
    this.#unseen = Uint8Array.from({ length: tokens }, () => this.#random() < UNSEEN ? 1 : 0);
  }

  tensor({ name, shape, group }: StoredTensor, values: Float32Array): void {
    const isNorm = /\.ln_\w+\.weight$/.test(name);
    const columns = shape.at(-1) ?? 1;
    for (let start = 0, row = 0; start < values.length; start += columns, row++) {
      const scale = Math.exp(this.#random() - 0.5);
      const isUnseen = name.endsWith(".wte") && this.#unseen[row] === 1;
      const cells = values.subarray(start, start + columns);
      if (group === "gpt2") this.#weights(cells, 0.02 * scale, isNorm ? 1 : 0);
      else if (!isUnseen) this.#moments(cells, 3e-4 * scale, group === "adam.v");
    }
  }

  #weights(cells: Float32Array, scale: number, mean: number): void {
    const from = this.#somewhere();
    for (let index = 0; index < cells.length; index++) {
      cells[index] = mean + scale * (this.#normals[(from + index) & (NORMALS - 1)] as number);
    }
  }

  #moments(cells: Float32Array, scale: number, areSquares: boolean): void {
    const [from, other] = [this.#somewhere(), this.#somewhere()];
    for (let index = 0; index < cells.length; index++) {
      const first = scale * (this.#normals[(from + index) & (NORMALS - 1)] as number);
      const second = scale * (this.#normals[(other + index) & (NORMALS - 1)] as number);
      // Means of several gradients, or of their squares: two are enough for the spread of their exponents.
      cells[index] = areSquares ? (first * first + second * second) / 2 : first * Math.exp(second / scale);
    }
  }

  #somewhere(): number {
    return Math.floor(this.#random() * NORMALS);
  }

  #random(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return this.#state / 2 ** 32;
  }
}
