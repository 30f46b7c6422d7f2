import { freezeState } from "../../src/checkpoint/capture/host_state.ts";
import type { StateInput } from "../../src/checkpoint/capture/state_types.ts";
import { medianOf, raced, timedOf } from "./figures.ts";
import type { RowContext } from "./rows.ts";

/** One run is too short for the clock of the processor. */
const RUNS = 3;
const LEAST_ROUNDS = 7;

const TREES: readonly [what: string, tree: () => StateInput][] = [
  ["400,000 numbers", () => listOf(400_000, (index) => index / 3)],
  ["100,000 fields", () => Object.fromEntries(listOf(100_000, (index) => [`key${index}`, index]))],
  ["a Map of 100,000", () => new Map(listOf(100_000, (index) => [`key${index}`, index]))],
  [
    "20,000 records of 5 fields",
    () =>
      listOf(
        20_000,
        (id) => ({ id, name: `name ${id}`, loss: id / 7, isBest: id % 2 === 0, at: [id, id + 1] }),
      ),
  ],
  ["1,000 lists of 100 numbers", () => listOf(1000, () => listOf(100, (index) => index / 3))],
];

/** Row 11: processor time of copying a state in the call of a save, over that of `structuredClone` of the same tree. */
export async function benchFreezes(
  { figures, rounds }: Pick<RowContext, "figures" | "rounds">,
): Promise<void> {
  for (const [what, make] of TREES) {
    const tree = make();
    const times = await raced([
      { name: "freeze", run: () => repeated(() => freezeState(tree)), check: () => {} },
      { name: "clone", run: () => repeated(() => structuredClone(tree)), check: () => {} },
    ], Math.max(LEAST_ROUNDS, rounds));
    const [freezes, clones] = [timedOf(times, "freeze").cpuMs, timedOf(times, "clone").cpuMs];
    const ratios = freezes.map((ms, round) => ms / (clones[round] ?? NaN));
    const name = `row 11, processor time of freezing ${what}, over that of structuredClone`;
    figures.add(name, medianOf(ratios), "<= 1.5");
  }
}

function repeated(work: () => unknown): void {
  for (let run = 0; run < RUNS; run++) work();
}

function listOf<Item>(length: number, item: (index: number) => Item): Item[] {
  return Array.from({ length }, (_, index) => item(index));
}
