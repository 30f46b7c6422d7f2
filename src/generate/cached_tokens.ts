import type { BufferRange } from "../gpu/buffer_range.ts";
import { Executable, type OutputCopy } from "../graph/executable.ts";
import { where } from "../graph/ops/comparison.ts";
import { input, parameter } from "../graph/ops/sources.ts";
import { reshape } from "../graph/ops/views.ts";
import type { Value } from "../graph/value.ts";
import { DecodingCache, type KeptRows } from "../nn/decoding_cache.ts";
import { drawInputs, drawToken } from "./draw_token.ts";
import { KeptMemory, LAST_TOKENS, MOST_AHEAD } from "./kept_memory.ts";
import {
  type TokenModel,
  type TokenRequest,
  tokensFrom,
  type TokenSource,
  type TokenSourceSizes,
} from "./token_source.ts";

/** Positions of a beginning that are computed at once. */
const BLOCK = 32;

/** How long tokens are made before the host looks at them, so that a stream still flows. */
const BURST_MS = 80;

/** The model for some positions that follow others. */
interface Stretch {
  readonly executable: Executable;
  readonly count: number;
  readonly kept: readonly KeptRows[];
}

/**
 * Computes each position once, and keeps what those that follow need of it. A token that was drawn goes into the next
 * position on the GPU; the host looks at some of them at once, since waiting for the GPU takes long.
 */
export class CachedTokens implements TokenSource {
  readonly #model: TokenModel;
  readonly #sizes: TokenSourceSizes;
  readonly #weights: (name: string) => BufferRange;
  readonly #memory: KeptMemory;
  /** One position, with its token. */
  readonly #single: Stretch;
  /** Several positions, of which nobody wants tokens; compiled for the first beginning that is long enough. */
  #block: Stretch | undefined;
  /** Which tokens are in the memory. */
  #begin = 0;
  #end = 0;
  /** How many tokens are made before the host looks at them. */
  #ahead = 1;

  private constructor(
    model: TokenModel,
    sizes: TokenSourceSizes,
    weights: (name: string) => BufferRange,
    memory: KeptMemory,
    single: Stretch,
  ) {
    this.#model = model;
    this.#sizes = sizes;
    this.#weights = weights;
    this.#memory = memory;
    this.#single = single;
  }

  /** @param model One that can be given one position after the other; see `examineDecoding`. */
  static async compile(
    model: TokenModel,
    sizes: TokenSourceSizes,
    weights: (name: string) => BufferRange,
  ): Promise<CachedTokens> {
    const { rows, room, kind } = sizes;
    const cache = new DecodingCache(1, room);
    const [given, isGiven] = [input("given", "u32", [rows, 1]), input("isGiven", "u32", [rows, 1])];
    const tokens = where(isGiven, given, parameter(LAST_TOKENS, "u32", [rows, 1]));
    const { output } = model.traceDecoding(tokens, cache);
    const scores = reshape(output, [rows, -1]);
    const { token, inputs } = drawToken(scores, kind);
    const memory = await KeptMemory.allocate(model.store.gpu, rows, cache);
    try {
      const program = { inputs: [given, isGiven, ...inputs], outputs: { scores, token } };
      const single = await compileStretch(model, cache, program, memory, weights);
      return new CachedTokens(model, sizes, weights, memory, single);
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  restart(): void {
    this.#beginAt(0);
    this.#ahead = 1;
  }

  async next(request: TokenRequest): Promise<number[][]> {
    const { rows, begin, end, most } = request;
    if (begin !== this.#begin) this.#beginAt(begin);
    while (end - this.#end > BLOCK) {
      const block = this.#block ??= await this.#compileBlock();
      this.#run(block, { inputs: tokensFrom(rows, this.#end, block.count) });
    }
    while (this.#end < end - 1) this.#runSingle(request, 0);
    const count = Math.min(most, this.#ahead);
    const startMs = performance.now();
    for (let made = 0; made < count; made++) this.#runSingle(request, made);
    const [bytes] = await this.#model.store.gpu.read([this.#memory.tokensFrom(0, count)]);
    const tokenMs = (performance.now() - startMs) / count;
    this.#ahead = Math.max(1, Math.min(2 * count, MOST_AHEAD, Math.floor(BURST_MS / tokenMs)));
    const made = new Uint32Array(bytes?.buffer ?? new ArrayBuffer(0));
    return rows.map((_, row) =>
      Array.from({ length: count }, (_, number) => made[number * rows.length + row] ?? NaN)
    );
  }

  async scores(): Promise<Float32Array> {
    const [scores] = await this.#single.executable.read("scores");
    return scores?.toArray() as Float32Array;
  }

  close(): void {
    this.#single.executable.close();
    this.#block?.executable.close();
    this.#memory.close();
  }

  #beginAt(begin: number): void {
    this.#memory.forget();
    [this.#begin, this.#end] = [begin, begin];
  }

  /** The next position, and the token behind it, which is number `made` of those that the host has not seen. */
  #runSingle({ rows, numbers, shareOf }: TokenRequest, made: number): void {
    const place = this.#end;
    const isGiven = Uint32Array.from(rows, (row) => place < row.length ? 1 : 0);
    const shares = rows.map((_, row) => shareOf(row, place + 1));
    const last = this.#memory.rangeOf(LAST_TOKENS);
    this.#run(
      this.#single,
      { given: tokensFrom(rows, place, 1), isGiven, ...drawInputs(this.#sizes.kind, numbers, shares) },
      [
        ...last === undefined ? [] : [{ output: "token", into: last }],
        { output: "token", into: this.#memory.tokensFrom(made, 1) },
      ],
    );
  }

  /** The next positions. What is kept of them is in its place when the next submit begins. */
  #run(
    { executable, count, kept }: Stretch,
    inputs: Readonly<Record<string, ArrayBufferView>>,
    copies: readonly OutputCopy[] = [],
  ): void {
    const position = this.#end - this.#begin;
    const positions = Uint32Array.from({ length: count }, (_, index) => position + index);
    const rows = kept.map((each) => ({ output: each.name, into: this.#memory.placeOf(each, position) }));
    executable.run({ ...inputs, positions }, undefined, [...rows, ...copies]);
    this.#end += count;
  }

  async #compileBlock(): Promise<Stretch> {
    const { rows, room } = this.#sizes;
    const cache = new DecodingCache(BLOCK, room);
    const tokens = input("inputs", "u32", [rows, BLOCK]);
    this.#model.traceDecoding(tokens, cache);
    const program = { inputs: [tokens], outputs: {} };
    return await compileStretch(this.#model, cache, program, this.#memory, this.#weights);
  }
}

/** Compiles a program that leaves what `cache` was asked to keep besides its outputs. */
async function compileStretch(
  { store }: TokenModel,
  { rows: kept, states, positions }: DecodingCache,
  { inputs, outputs }: {
    readonly inputs: readonly Value[];
    readonly outputs: Readonly<Record<string, Value>>;
  },
  memory: KeptMemory,
  weights: (name: string) => BufferRange,
): Promise<Stretch> {
  // Chosen for these programs only, so that those of a training keep theirs.
  const variants = new Map([
    ...store.variants,
    ["matmul", store.gpu.isCpuAdapter ? "thinPacked" : "thinWorkgroup"] as const,
  ]);
  const executable = await Executable.compile(
    store.gpu,
    {
      inputs: [...inputs, positions],
      outputs: { ...outputs, ...Object.fromEntries(kept.map(({ name, rows }) => [name, rows])) },
      stores: states.map((state) => ({ value: state.after, into: memory.stateOf(state) })),
      parameters: (name) => memory.rangeOf(name) ?? weights(name),
    },
    { variants, label: "generation" },
  );
  return { executable, count: positions.shape[0] ?? 0, kept };
}
