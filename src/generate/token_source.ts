import type { Value } from "../graph/value.ts";
import type { Model } from "../nn/model.ts";
import type { DrawKind, DrawNumbers } from "./draw_token.ts";

/** A model of token numbers u32 `[batch, positions]`. */
export type TokenModel = Model<Value, Value>;

/** Texts as far as they go. */
export type TokenRows = readonly (readonly number[])[];

/** What a source of tokens is made for. */
export interface TokenSourceSizes {
  /** Texts at once. */
  readonly rows: number;
  /** Positions that there is room for. */
  readonly room: number;
  readonly kind: DrawKind;
}

/** Which tokens are wanted. */
export interface TokenRequest {
  /** All have tokens up to `end`, and some may have more, which are known: they are not drawn. */
  readonly rows: TokenRows;
  /** The first token that the model is given. */
  readonly begin: number;
  /** Where the tokens are wanted from on. */
  readonly end: number;
  /** How many of each row at most; at least 1. */
  readonly most: number;
  readonly numbers: DrawNumbers;
  /** What decides which token a row has at a place, from 0 to below 1. */
  readonly shareOf: (row: number, place: number) => number;
}

/** What makes the tokens that several texts of one length go on with. */
export interface TokenSource {
  /** Begins with other texts. */
  restart(): void;
  /**
   * The tokens of each row from `end` on, one or several of each. Fast where `begin` is that of the call before and
   * `end` is where that one's ended.
   */
  next(request: TokenRequest): Promise<number[][]>;
  /** The scores f32 `[rows, tokens]` that the last tokens were drawn by. */
  scores(): Promise<Float32Array>;
  /** Frees what it has on the GPU. */
  close(): void;
}

/** Tokens `[rows, count]` from `first` on. A row that has ended goes on with its last one, and nobody looks at it. */
export function tokensFrom(rows: TokenRows, first: number, count: number): Uint32Array {
  return Uint32Array.from(
    rows.flatMap((row) => Array.from({ length: count }, (_, index) => row[first + index] ?? row.at(-1) ?? 0)),
  );
}
