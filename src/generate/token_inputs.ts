import type { DType } from "../base/dtype.ts";
import type { Value } from "../graph/value.ts";
import type { Model, ModelInput } from "../nn/model.ts";

/** A model of token numbers `[batch, positions]`. */
export type TokenModel = Model<Value, Value>;

/** What such a model is given, for so many positions. */
export function tokensOf({ input }: TokenModel, positions: number): ModelInput {
  const { dtype } = input as ModelInput;
  return { dtype, shape: [positions] };
}

/** Rows of tokens, as far as they go. */
export type TokenRows = readonly (readonly number[])[];

/**
 * Tokens `[rows, end - begin]` for an input of `dtype`. A row that has ended goes on with its last token, and what
 * comes of that is not looked at.
 */
export function tokenInputs(rows: TokenRows, begin: number, end: number, dtype: DType): ArrayBufferView {
  const tokens = rows.flatMap((row) =>
    Array.from({ length: end - begin }, (_, index) => row[begin + index] ?? row.at(-1) ?? 0)
  );
  if (dtype === "u8") return Uint8Array.from(tokens);
  return dtype === "i32" ? Int32Array.from(tokens) : Uint32Array.from(tokens);
}
