import type { BufferRange } from "../gpu/buffer_range.ts";
import { Executable } from "../graph/executable.ts";
import { take } from "../graph/ops/indexing/take.ts";
import { input } from "../graph/ops/sources.ts";
import { reshape } from "../graph/ops/views.ts";
import { drawInputs, drawToken } from "./draw_token.ts";
import {
  type TokenModel,
  type TokenRequest,
  tokensFrom,
  type TokenSource,
  type TokenSourceSizes,
} from "./token_source.ts";

/** Computes the whole text again for each token: nothing is kept. */
export class WholeTokens implements TokenSource {
  readonly #executable: Executable;
  readonly #sizes: TokenSourceSizes;

  private constructor(executable: Executable, sizes: TokenSourceSizes) {
    this.#executable = executable;
    this.#sizes = sizes;
  }

  /** @param model Of `room` positions, causal; see `examineWhole`. */
  static async compile(
    model: TokenModel,
    sizes: TokenSourceSizes,
    weights: (name: string) => BufferRange,
  ): Promise<WholeTokens> {
    const { store } = model;
    const trace = model.trace(sizes.rows, false);
    const last = input("last", "u32", [1]);
    const scores = reshape(take(trace.output, last, { axis: 1 }), [sizes.rows, -1]);
    const { token, inputs } = drawToken(scores, sizes.kind);
    const executable = await Executable.compile(
      store.gpu,
      { inputs: [trace.input, last, ...inputs], outputs: { scores, token }, parameters: weights },
      { variants: store.variants, label: "generation without a cache" },
    );
    return new WholeTokens(executable, sizes);
  }

  restart(): void {}

  async next({ rows, begin, end, numbers, shareOf }: TokenRequest): Promise<number[][]> {
    const { kind, room } = this.#sizes;
    this.#executable.run({
      // What is behind the end changes nothing before it.
      inputs: tokensFrom(rows, begin, room),
      last: Uint32Array.of(end - begin - 1),
      ...drawInputs(kind, numbers, rows.map((_, row) => shareOf(row, end))),
    });
    const [tokens] = await this.#executable.read("token");
    return Array.from(tokens?.toArray() as Uint32Array, (token) => [token]);
  }

  async scores(): Promise<Float32Array> {
    const [scores] = await this.#executable.read("scores");
    return scores?.toArray() as Float32Array;
  }

  close(): void {
    this.#executable.close();
  }
}
