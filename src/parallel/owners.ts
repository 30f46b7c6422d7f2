import type { ProcessGroup } from "../checkpoint/ranks/process_group.ts";
import { shareOut } from "../checkpoint/ranks/share_out.ts";

/** Which rank of a group keeps what, by its name: as equal shares as whole things allow. */
export class Owners {
  readonly group: ProcessGroup;
  readonly #ranks: ReadonlyMap<string, number>;

  /** @param sizes The same on every rank. */
  constructor(group: ProcessGroup, sizes: Iterable<readonly [name: string, size: number]>) {
    this.group = group;
    this.#ranks = shareOut(sizes, Array.from({ length: group.size }, () => 0));
  }

  /** The rank that keeps what is called `name`. */
  of(name: string): number | undefined {
    return this.#ranks.get(name);
  }

  /** Whether this rank keeps it. */
  owns(name: string): boolean {
    return this.of(name) === this.group.rank;
  }
}
