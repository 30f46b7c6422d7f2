import type { TensorRecord } from "../format/layout.ts";

// More names do not help, and a hostile file could have thousands of them for each of thousands of chunks.
const MAX_NAMES = 1000;

/** Finds the tensors that have bytes in a part of the raw space. */
export class TensorsByRange {
  readonly #owners: readonly TensorRecord[];
  readonly #aliases: ReadonlyMap<string, readonly string[]>;

  constructor(tensors: readonly TensorRecord[]) {
    this.#owners = tensors.filter((tensor) => tensor.aliasOf === undefined && tensor.byteLength > 0);
    const aliases = new Map<string, string[]>();
    for (const { name, aliasOf } of tensors) {
      if (aliasOf === undefined) continue;
      const names = aliases.get(aliasOf);
      if (names === undefined) aliases.set(aliasOf, [name]);
      else names.push(name);
    }
    this.#aliases = aliases;
  }

  /** Their names in the order of their bytes, each followed by its aliases: 1000 at most. */
  within(start: number, end: number): string[] {
    const names: string[] = [];
    for (
      let index = this.#firstAfter(start);
      index < this.#owners.length && names.length < MAX_NAMES;
      index++
    ) {
      const owner = this.#owners[index] as TensorRecord;
      if (owner.rawOffset >= end) break;
      names.push(owner.name, ...(this.#aliases.get(owner.name)?.slice(0, MAX_NAMES) ?? []));
    }
    return names.slice(0, MAX_NAMES);
  }

  /** Index of the first owner that ends behind `rawOffset`. */
  #firstAfter(rawOffset: number): number {
    let low = 0;
    let high = this.#owners.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const owner = this.#owners[middle] as TensorRecord;
      if (owner.rawOffset + owner.byteLength > rawOffset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
