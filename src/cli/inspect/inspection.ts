import type { ListedTensor, OpenedFile } from "../open/opened_file.ts";
import type { Statistics } from "./statistics.ts";

/** What `inspect` found out, before it is printed. */
export interface Inspection {
  readonly file: OpenedFile;
  /** Those that were asked for. */
  readonly tensors: readonly ListedTensor[];
  /** How many there are in the file. */
  readonly total: number;
  /** By name, where they were asked for and can be read. */
  readonly statistics: ReadonlyMap<string, Statistics>;
  /** Whether long lists are shown to their end. */
  readonly isAll: boolean;
}
