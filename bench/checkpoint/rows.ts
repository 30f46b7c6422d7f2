import type { Figures } from "./figures.ts";
import type { BenchState } from "./state.ts";

/** What the rows of the table are measured with. */
export interface RowContext {
  readonly state: BenchState;
  readonly figures: Figures;
  /** On the disk that is measured; removed at the end. */
  readonly directory: string;
  readonly rounds: number;
  /** Whether any of these rows is asked for. */
  readonly wants: (...rows: number[]) => boolean;
}
