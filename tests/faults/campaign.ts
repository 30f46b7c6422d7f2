import process from "node:process";

/** One line of a campaign's table: a row of the fault list, or a part of one. */
export interface FaultRow {
  /** Such as "E1", as the tables of the documentation name it. */
  readonly row: string;
  readonly what: string;
  /** Faults that were injected. */
  points: number;
  /** Faults that the code did not withstand. A single one fails the campaign. */
  failures: string[];
  /** Figures beside the count. */
  notes: string[];
  seconds: number;
}

/** Where a campaign reports what the code under test did wrong. */
export interface RowRecorder {
  /** One more fault, or `count` of them. */
  point(count?: number): void;
  fail(what: string): void;
  note(what: string): void;
}

const SHOWN_FAILURES = 5;

/** Runs rows one after the other and prints their counts as a table. */
export class Campaign {
  readonly name: string;
  readonly rows: FaultRow[] = [];
  /** Parts that this machine does not permit, each with the reason: counted and printed, never silent. */
  readonly skips: string[] = [];
  readonly #only: ReadonlySet<string>;

  /** @param only Rows to run; all of them when empty. */
  constructor(name: string, only: readonly string[] = []) {
    this.name = name;
    this.#only = new Set(only);
  }

  async row(row: string, what: string, work: (recorder: RowRecorder) => Promise<void>): Promise<void> {
    if (this.#only.size > 0 && !this.#only.has(row)) return;
    const entry: FaultRow = { row, what, points: 0, failures: [], notes: [], seconds: 0 };
    const start = performance.now();
    try {
      await work({
        point: (count = 1) => void (entry.points += count),
        fail: (failure) => void entry.failures.push(failure),
        note: (note) => void entry.notes.push(note),
      });
    } catch (error) {
      entry.failures.push(error instanceof Error ? error.stack ?? error.message : String(error));
    }
    entry.seconds = (performance.now() - start) / 1000;
    if (entry.points === 0 && entry.failures.length === 0) entry.failures.push("no fault was injected");
    this.rows.push(entry);
    printRow(entry);
  }

  skip(what: string): void {
    this.skips.push(what);
    console.log(`SKIP ${what}`);
  }

  /** All faults, and how many of them the code did not withstand. */
  get totals(): { points: number; failures: number } {
    const points = this.rows.reduce((sum, row) => sum + row.points, 0);
    return { points, failures: this.rows.reduce((sum, row) => sum + row.failures.length, 0) };
  }

  /** Prints the last line, one JSON object, and ends the process. */
  finish(figures: Readonly<Record<string, unknown>>): never {
    const { points, failures } = this.totals;
    const rows = this.rows.map(({ row, what, points, failures, notes, seconds }) => ({
      row,
      what,
      points,
      failures: failures.length,
      notes,
      seconds: Number(seconds.toFixed(1)),
    }));
    console.log(
      JSON.stringify({
        faults: this.name,
        runtime: runtimeName(),
        points,
        failures,
        skips: this.skips,
        ...figures,
        rows,
      }),
    );
    process.exit(failures > 0 ? 1 : 0);
  }
}

/** "bun", "deno" or "node". */
export function runtimeName(): string {
  return process.versions.bun !== undefined ? "bun" : process.versions.deno !== undefined ? "deno" : "node";
}

function printRow({ row, what, points, failures, notes, seconds }: FaultRow): void {
  const verdict = failures.length === 0 ? "ok" : `${failures.length} FAILED`;
  console.log(
    `${row.padEnd(4)} ${what.padEnd(62)} ${String(points).padStart(8)}  ${verdict.padEnd(9)} ${
      seconds.toFixed(1).padStart(6)
    } s`,
  );
  for (const note of notes) console.log(`       ${note}`);
  for (const failure of failures.slice(0, SHOWN_FAILURES)) console.log(`       FAILED ${failure}`);
  if (failures.length > SHOWN_FAILURES) console.log(`       and ${failures.length - SHOWN_FAILURES} more`);
}
