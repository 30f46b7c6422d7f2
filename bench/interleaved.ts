/** Something that is timed. */
export interface Contender<Result> {
  readonly name: string;
  readonly run: () => Result | Promise<Result>;
  /** Throws unless the result of a run is right. Not timed. */
  readonly check: (result: Result) => void;
}

/** Milliseconds of each round. */
export type Times = readonly number[];

/**
 * Runs every contender once a round, so that a busy machine disturbs all alike, and checks each result. The
 * order turns round every other round, and the first round is not counted.
 */
export async function interleaved<Result>(
  contenders: readonly Contender<Result>[],
  rounds: number,
): Promise<Map<string, Times>> {
  const times = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round <= rounds; round++) {
    for (const { name, run, check } of round % 2 === 0 ? contenders : [...contenders].reverse()) {
      const start = performance.now();
      const result = await run();
      const ms = performance.now() - start;
      check(result);
      if (round > 0) times.get(name)?.push(ms);
    }
  }
  return times;
}

/** The middle value. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >>> 1] ?? NaN;
}

/** Median of the ratios of each round, and how far apart their quartiles are, as a part of it. */
export function ratioOf(slow: Times, fast: Times): { measured: number; spread: number } {
  const ratios = slow.map((ms, round) => ms / (fast[round] ?? NaN)).sort((a, b) => a - b);
  const at = (part: number): number => ratios[Math.floor(part * (ratios.length - 1))] ?? NaN;
  return { measured: median(ratios), spread: (at(0.75) - at(0.25)) / median(ratios) };
}
