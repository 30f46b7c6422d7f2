import type { TokenRows } from "./token_inputs.ts";

/** What gives the scores of the tokens that may be next, for several texts of one length. */
export interface Scorer {
  /**
   * The scores behind the tokens from `begin` up to `end` of each row, `[rows, tokens]`. Fast where `begin` is the same
   * as before and `end` is larger.
   */
  scoresBehind(rows: TokenRows, begin: number, end: number): Promise<Float32Array>;
  /** Begins with other texts. */
  restart(): void;
  /** Frees what it has on the GPU. */
  close(): void;
}

/** What a scorer is made for. */
export interface ScorerSizes {
  /** Texts at once. */
  readonly rows: number;
  /** Positions that there is room for. */
  readonly room: number;
}
