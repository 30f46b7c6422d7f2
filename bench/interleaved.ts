import process from "node:process";

/** Something that is timed. */
export interface Contender<Result> {
  readonly name: string;
  /** Done before each run. Not timed. */
  readonly prepare?: () => void | Promise<void>;
  readonly run: () => Result | Promise<Result>;
  /** Throws unless the result of a run is right. Not timed. */
  readonly check: (result: Result) => void | Promise<void>;
}

/** Milliseconds of each round. */
export type Times = readonly number[];

/** What each round took by the clock, and of the processor: all threads of this process together. */
export interface Measured {
  readonly ms: Times;
  readonly cpuMs: Times;
}

/**
 * Runs every contender once a round, so that a busy machine disturbs all alike, and checks each result. The order is
 * reversed every other round, and the first round is not counted.
 */
export async function interleaved<Result>(
  contenders: readonly Contender<Result>[],
  rounds: number,
): Promise<Map<string, Times>> {
  const measured = await interleavedWithCpu(contenders, rounds);
  return new Map([...measured].map(([name, { ms }]) => [name, ms]));
}

/**
 * As {@link interleaved}, with the processor's time beside the clock's. Of work on one thread it is the better
 * measure while others want the processor too: it does not count the time in which they had it.
 */
export async function interleavedWithCpu<Result>(
  contenders: readonly Contender<Result>[],
  rounds: number,
): Promise<Map<string, Measured>> {
  const measured = new Map(
    contenders.map(({ name }) => [name, { ms: [] as number[], cpuMs: [] as number[] }]),
  );
  for (let round = 0; round <= rounds; round++) {
    for (const { name, prepare, run, check } of round % 2 === 0 ? contenders : [...contenders].reverse()) {
      await prepare?.();
      const cpuBefore = process.cpuUsage();
      const start = performance.now();
      const result = await run();
      const ms = performance.now() - start;
      const { user, system } = process.cpuUsage(cpuBefore);
      await check(result);
      if (round === 0) continue;
      measured.get(name)?.ms.push(ms);
      measured.get(name)?.cpuMs.push((user + system) / 1000);
    }
  }
  return measured;
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
