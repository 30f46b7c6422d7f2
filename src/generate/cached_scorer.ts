import type { BufferRange } from "../gpu/buffer_range.ts";
import { Executable } from "../graph/executable.ts";
import type { Value } from "../graph/value.ts";
import { DecodingCache, type KeptRows } from "../nn/decoding_cache.ts";
import { KeptMemory } from "./kept_memory.ts";
import type { Scorer, ScorerSizes } from "./scorer.ts";
import { tokenInputs, type TokenModel, type TokenRows, tokensOf } from "./token_inputs.ts";

/** Positions of a beginning that are computed at once. */
const BLOCK = 32;

/** The model for some positions that follow others. */
interface Stretch {
  readonly executable: Executable;
  readonly count: number;
  readonly rows: readonly KeptRows[];
}

/** Computes each position once, and keeps what those that follow need of it. */
export class CachedScorer implements Scorer {
  readonly #model: TokenModel;
  readonly #sizes: ScorerSizes;
  readonly #weights: (name: string) => BufferRange;
  readonly #memory: KeptMemory;
  /** One position, with its scores. */
  readonly #single: Stretch;
  /** Several positions, of which nobody wants the scores; compiled for the first beginning that is long enough. */
  #block: Stretch | undefined;
  /** Which tokens are in the memory. */
  #begin = 0;
  #end = 0;

  private constructor(
    model: TokenModel,
    sizes: ScorerSizes,
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
    sizes: ScorerSizes,
    weights: (name: string) => BufferRange,
  ): Promise<CachedScorer> {
    const cache = new DecodingCache(1, sizes.room);
    const { input, output } = model.traceDecoding(tokensOf(model, 1), sizes.rows, cache);
    const memory = await KeptMemory.allocate(model.store.gpu, cache);
    try {
      const single = await compileStretch(
        model,
        { cache, input, outputs: { scores: output } },
        memory,
        weights,
      );
      return new CachedScorer(model, sizes, weights, memory, single);
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  async scoresBehind(rows: TokenRows, begin: number, end: number): Promise<Float32Array> {
    if (begin !== this.#begin) this.#beginAt(begin);
    while (end - this.#end > BLOCK) this.#run(this.#block ??= await this.#compileBlock(), rows);
    while (this.#end < end) this.#run(this.#single, rows);
    const [scores] = await this.#single.executable.read("scores");
    return scores?.toArray() as Float32Array;
  }

  restart(): void {
    this.#beginAt(0);
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

  /** The next positions. What is kept of them is in its place when the next submit begins. */
  #run({ executable, count, rows: kept }: Stretch, rows: TokenRows): void {
    const position = this.#end - this.#begin;
    const positions = Uint32Array.from({ length: count }, (_, index) => position + index);
    const inputs = tokenInputs(rows, this.#end, this.#end + count, tokensOf(this.#model, count).dtype);
    const copies = kept.map((each) => ({ output: each.name, into: this.#memory.placeOf(each, position) }));
    executable.run({ inputs, positions }, undefined, copies);
    this.#end += count;
  }

  async #compileBlock(): Promise<Stretch> {
    const cache = new DecodingCache(BLOCK, this.#sizes.room);
    const { input } = this.#model.traceDecoding(tokensOf(this.#model, BLOCK), this.#sizes.rows, cache);
    return await compileStretch(this.#model, { cache, input, outputs: {} }, this.#memory, this.#weights);
  }
}

async function compileStretch(
  { store }: TokenModel,
  { cache, input, outputs }: {
    readonly cache: DecodingCache;
    readonly input: Value;
    readonly outputs: Readonly<Record<string, Value>>;
  },
  memory: KeptMemory,
  weights: (name: string) => BufferRange,
): Promise<Stretch> {
  const { rows, positions } = cache;
  // Chosen for these programs only, so that those of a training keep theirs.
  const variants = new Map([
    ...store.variants,
    ["matmul", store.gpu.isCpuAdapter ? "thinPacked" : "thinWorkgroup"] as const,
  ]);
  const executable = await Executable.compile(
    store.gpu,
    {
      inputs: [input, positions],
      outputs: { ...outputs, ...Object.fromEntries(rows.map(({ name, rows }) => [name, rows])) },
      stores: cache.states.map((state) => ({ value: state.after, into: memory.stateOf(state) })),
      parameters: (name) => memory.rangeOf(name) ?? weights(name),
    },
    { variants, label: "generation" },
  );
  return { executable, count: positions.shape[0] ?? 0, rows };
}
