import { cpuMs } from "../../tests/helpers/cpu_time.ts";
import { type Contender, interleaved, median, type Times } from "../interleaved.ts";

/** One line of the table for one provider. */
export interface Target {
  readonly name: string;
  /** `null` where it could not be measured. */
  readonly measured: number | null;
  readonly target: string;
  /** How far the quartiles of the rounds are apart, as a part of the median. */
  readonly spread: number | null;
  readonly holds: boolean;
  /** Why it could not be measured. */
  readonly absent?: string;
}

/** Rounds in milliseconds, and the CPU time that the process used in them, the software GPU's threads included. */
export interface Timed {
  readonly ms: Times;
  readonly cpuMs: Times;
}

/** Collects the targets and prints each at once. */
export class Figures {
  readonly targets: Target[] = [];
  readonly #provider: string;

  constructor(provider: string) {
    this.#provider = provider;
  }

  /** @param limit Such as "<= 2" or ">= 0.85". */
  add(name: string, { measured, spread }: { measured: number; spread: number }, limit: string): void {
    const bound = Number(limit.replace(/^[<>]=? /, ""));
    const holds = limit.startsWith("<=")
      ? measured <= bound
      : limit.startsWith(">=")
      ? measured >= bound
      : measured > bound;
    this.#push({ name, measured: digits(measured), target: limit, spread: digits(spread), holds });
  }

  /** A line that could not be measured, and therefore does not hold. */
  absent(name: string, limit: string, why: string): void {
    this.#push({ name, measured: null, target: limit, spread: null, holds: false, absent: why });
  }

  #push(target: Target): void {
    const full = { ...target, name: `${this.#provider}: ${target.name}` };
    this.targets.push(full);
    const verdict = full.absent === undefined ? full.holds ? "holds " : "MISSES" : "ABSENT";
    const figure = full.absent ?? `${full.measured} (${full.target}), spread ${full.spread}`;
    console.log(`${verdict} ${full.name}: ${figure}`);
  }
}

/** As {@link interleaved}, with the CPU time of each. */
export async function raced<Result>(
  contenders: readonly Contender<Result>[],
  rounds: number,
): Promise<Map<string, Timed>> {
  const cpu = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  const withCpu = contenders.map((contender) => ({
    ...contender,
    run: async () => {
      const before = cpuMs();
      const result = await contender.run();
      cpu.get(contender.name)?.push(cpuMs() - before);
      return result;
    },
  }));
  const times = await interleaved(withCpu, rounds);
  // The first round is not counted.
  return new Map([...times].map(([name, ms]) => [name, { ms, cpuMs: (cpu.get(name) ?? []).slice(1) }]));
}

/** Of one contender of {@link raced}. */
export function timedOf(times: ReadonlyMap<string, Timed>, name: string): Timed {
  return times.get(name) ?? { ms: [], cpuMs: [] };
}

/** As if so many times as much had been done. */
export function scaled({ ms, cpuMs: cpu }: Timed, factor: number): Timed {
  return { ms: ms.map((one) => factor * one), cpuMs: cpu.map((one) => factor * one) };
}

/** Of several, the one that took longest, or with `least` shortest, at the median. */
export function slowestOf(all: readonly Timed[], which: "slowest" | "fastest" = "slowest"): Timed {
  const sorted = [...all].sort((a, b) => median(a.ms) - median(b.ms));
  return (which === "slowest" ? sorted.at(-1) : sorted[0]) ?? { ms: [], cpuMs: [] };
}

/** The value that so many of `values` do not exceed; 0.99 for p99. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}

/** The median and how far the quartiles are apart, as a part of it. */
export function medianOf(values: readonly number[]): { measured: number; spread: number } {
  const middle = median(values);
  return { measured: middle, spread: (quantile(values, 0.75) - quantile(values, 0.25)) / Math.abs(middle) };
}

/** "1234 MB/s, 0.44 s wall, 0.61 s CPU" at the median. */
export function rate(byteLength: number, { ms, cpuMs: cpu }: Timed): string {
  const wall = median(ms);
  return `${(byteLength / wall / 1e3).toFixed(0).padStart(5)} MB/s, ${wall.toFixed(0)} ms wall, ` +
    `${median(cpu).toFixed(0)} ms CPU`;
}

function digits(value: number): number {
  return Number(value.toPrecision(4));
}
