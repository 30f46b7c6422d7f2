import { take } from "../graph/ops/indexing/take.ts";
import { constant, input, parameter } from "../graph/ops/sources.ts";
import type { Value } from "../graph/value.ts";
import type { HostTensor } from "../tensor/host_tensor.ts";
import type { Shape } from "../tensor/shape.ts";

/** Rows of each position, which stay for those that follow. */
export interface KeptRows {
  /** What the program calls the memory of all positions. */
  readonly name: string;
  /** Of the positions of this trace, `[positions, …]`. */
  readonly rows: Value;
}

/** What a layer leaves for the next position. */
export interface KeptState {
  readonly name: string;
  readonly shape: Shape;
  /** What it is after the positions of this trace. */
  readonly after: Value;
}

/**
 * What a model's layers keep of the positions before, in one trace of it for positions that follow others. A layer that
 * looks at other positions asks its scope for it, and then computes as if it were given the whole sequence. One that
 * does not know it works on the positions that it is given; `followsSequence` finds out whether that is right.
 */
export class DecodingCache {
  /** u32 `[positions]`: the numbers of the positions of this trace, one after the other. */
  readonly positions: Value;
  /** How many positions the memory of rows is for. */
  readonly room: number;
  /** Rows of each position that layers keep. */
  readonly rows: KeptRows[] = [];
  /** States that layers keep. */
  readonly states: KeptState[] = [];
  /** States over time that begin with what was kept. */
  readonly continued: Set<Value> = new Set();
  readonly #tables = new Map<string, Value>();
  #most = Infinity;
  #kept = 0;

  /** For a trace of `count` positions. */
  constructor(count: number, room: number) {
    this.positions = input("positions", "u32", [count]);
    this.room = room;
  }

  /** How many positions the model has at most. */
  get mostPositions(): number {
    return this.#most;
  }

  /** Says that the model has no more than `most` positions. */
  limitPositions(most: number): void {
    this.#most = Math.min(this.#most, most);
  }

  /**
   * Keeps `rows` `[positions, …]`, and gives the memory `[room, …]` of those before: row i is that of position i, and
   * there is none yet from the first of `positions` on.
   */
  keepRows(rows: Value): Value {
    const name = this.#nextName();
    this.rows.push({ name, rows });
    return parameter(name, "f32", rows.shape.with(0, this.room));
  }

  /** A state of `shape`, zeros at first. What it becomes is said by `keep`. */
  state(shape: Shape): { readonly before: Value; readonly keep: (after: Value) => void } {
    const name = this.#nextName();
    return {
      before: parameter(name, "f32", shape),
      keep: (after) => void this.states.push({ name, shape, after }),
    };
  }

  /** Rows of a table `[room, …]` for the positions of this trace; those who give the same `key` share one. */
  rowsOf(key: string, table: (positions: number) => HostTensor): Value {
    const known = this.#tables.get(key);
    if (known !== undefined) return known;
    const rows = take(constant(table(this.room)), this.positions);
    this.#tables.set(key, rows);
    return rows;
  }

  /** Says of the states of a recurrent layer over time that they begin with what was kept. */
  continues(states: Value): void {
    this.continued.add(states);
  }

  /** No parameter of a model has a space in its name. */
  #nextName(): string {
    return `kept ${this.#kept++}`;
  }
}
