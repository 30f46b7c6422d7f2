import type { Description } from "../../base/description.ts";
import type { ExampleSpec } from "../batch_source.ts";

/** The rows of a tensor that is not in memory, along its first axis. */
export interface StoredRows {
  /** How many there are. */
  readonly length: number;
  /** What one row is. */
  readonly row: ExampleSpec;
  /**
   * The bytes of `count` rows from `first` on, little-endian and without gaps: in `into`, which is as long as they are,
   * or in memory of their own, which is then copied.
   */
  read(first: number, count: number, into?: Uint8Array): Promise<Uint8Array>;
  /** What they are, for checkpoints. */
  describe(): Promise<Description>;
  /** Closes the file. */
  close(): Promise<void>;
}

/** Whether `value` is {@link StoredRows}. */
export function isStoredRows(value: unknown): value is StoredRows {
  return typeof value === "object" && value !== null && "row" in value && "read" in value &&
    typeof value.read === "function";
}
