import type { Ceilings } from "./ceilings.ts";
import type { BenchDisk } from "./disk.ts";
import type { Figures } from "./figures.ts";
import type { BenchState } from "./state.ts";

/** What the rows of the table are measured with. */
export interface RowContext {
  readonly state: BenchState;
  readonly ceilings: Ceilings;
  readonly figures: Figures;
  readonly disk: BenchDisk;
  /** On that disk; removed at the end. */
  readonly directory: string;
  readonly rounds: number;
  /** Whether any of these rows is asked for. */
  readonly wants: (...rows: number[]) => boolean;
}
