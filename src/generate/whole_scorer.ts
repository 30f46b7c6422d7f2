import type { BufferRange } from "../gpu/buffer_range.ts";
import { Executable } from "../graph/executable.ts";
import { take } from "../graph/ops/indexing/take.ts";
import { input } from "../graph/ops/sources.ts";
import type { Scorer, ScorerSizes } from "./scorer.ts";
import { tokenInputs, type TokenModel, type TokenRows, tokensOf } from "./token_inputs.ts";

/** Computes the whole text again for each token: nothing is kept. */
export class WholeScorer implements Scorer {
  readonly #executable: Executable;
  readonly #model: TokenModel;
  readonly #room: number;

  private constructor(executable: Executable, model: TokenModel, room: number) {
    this.#executable = executable;
    this.#model = model;
    this.#room = room;
  }

  /** @param model Of `room` positions, causal; see `examineWhole`. */
  static async compile(
    model: TokenModel,
    { rows, room }: ScorerSizes,
    weights: (name: string) => BufferRange,
  ): Promise<WholeScorer> {
    const { store } = model;
    const trace = model.trace(rows, false);
    const last = input("last", "u32", [1]);
    const executable = await Executable.compile(
      store.gpu,
      {
        inputs: [trace.input, last],
        outputs: { scores: take(trace.output, last, { axis: 1 }) },
        parameters: weights,
      },
      { variants: store.variants, label: "generation without a cache" },
    );
    return new WholeScorer(executable, model, room);
  }

  async scoresBehind(rows: TokenRows, begin: number, end: number): Promise<Float32Array> {
    // What is behind the end changes nothing before it.
    const inputs = tokenInputs(rows, begin, begin + this.#room, tokensOf(this.#model, this.#room).dtype);
    this.#executable.run({ inputs, last: Uint32Array.of(end - begin - 1) });
    const [scores] = await this.#executable.read("scores");
    return scores?.toArray() as Float32Array;
  }

  restart(): void {}

  close(): void {
    this.#executable.close();
  }
}
