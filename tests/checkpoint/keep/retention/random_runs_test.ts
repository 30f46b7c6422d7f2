import { describe, expect, test } from "bun:test";
import { Lease } from "../../../../src/checkpoint/keep/evaluators/lease.ts";
import type { FileEngine } from "../../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../../src/checkpoint/keep/recovery.ts";
import { retain, type RetentionPolicy } from "../../../../src/checkpoint/keep/retention/retention.ts";
import { lastN } from "../../../../src/checkpoint/keep/retention/by_count.ts";
import { bestN } from "../../../../src/checkpoint/keep/retention/by_metric.ts";
import { closestToGrid, everyNSteps } from "../../../../src/checkpoint/keep/retention/by_step.ts";
import { everyNSeconds } from "../../../../src/checkpoint/keep/retention/by_time.ts";
import { allOf, anyOf } from "../../../../src/checkpoint/keep/retention/combine.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import { bytes, readFile, writeFile } from "../../../storage/storage_contract.ts";
import { counterRandom, FaultStorage, memoryEngine, OTHER_RUN_ID, saveState } from "../../fixtures.ts";

const RUNS = 15;
const STEPS = 12;
const SEED = 7;

/** A run whose every choice comes from `seed`: what it saves, what it keeps, who reads, and when the machine stops. */
class RandomRun {
  readonly disk = new MemoryStorage();
  readonly #random: (byteLength: number) => Uint8Array;
  readonly #leases: Lease[] = [];
  #step = 0;
  /** What must be there: the reason, by tag. */
  readonly protected = new Map<string, string>();
  crashes = 0;
  deletions = 0;

  constructor(seed: number) {
    this.#random = counterRandom(seed);
  }

  below(below: number): number {
    return (this.#random(1)[0] ?? 0) % below;
  }

  engine(storage: MemoryStorage | FaultStorage = this.disk, runId?: string): Promise<FileEngine> {
    return memoryEngine(storage, { codec: "raw", ...runId === undefined ? {} : { runId } });
  }

  async begin(): Promise<void> {
    await saveState(await this.engine(this.disk, OTHER_RUN_ID), "other", { step: 1 }, { step: 1 });
    await writeFile(this.disk, "torn.cairn", bytes("not a container"));
    this.protected.set("other", "it belongs to another run");
  }

  policy(): RetentionPolicy {
    const rules = [
      lastN(1 + this.below(3)),
      everyNSteps(1 + this.below(9)),
      closestToGrid(1 + this.below(9)),
      everyNSeconds(1 + this.below(5)),
      bestN(1 + this.below(2), "loss"),
    ];
    const [a = lastN(1), b = lastN(1)] = [rules[this.below(5)], rules[this.below(5)]];
    return { rule: this.below(2) === 0 ? anyOf(a, b) : allOf(a, b) };
  }

  /**
   * One save with what is cleaned up after it; sometimes the machine stops on the way. Then everything is looked at.
   */
  async advance(): Promise<void> {
    this.#step += 1 + this.below(5);
    const tag = String(this.#step);
    const storage = new FaultStorage(this.disk);
    const isCrash = this.below(3) === 0;
    if (isCrash) storage.crashAt(this.below(60), { takesEffect: this.below(2) === 0 });
    let isCommitted = false;
    try {
      const engine = await this.engine(storage);
      await saveState(engine, tag, { step: this.#step }, { metrics: { loss: this.below(5) } });
      isCommitted = true;
      this.deletions += (await retain(engine, tag, this.policy())).deleted.length;
    } catch (error) {
      if (!isCrash) throw error;
    }
    if (storage.hasFired) this.crashes++;
    await this.#check(isCommitted ? tag : undefined);
    await this.#lease();
  }

  async #check(committed: string | undefined): Promise<void> {
    const engine = await this.engine();
    const tags = await engine.list();
    expect(tags).toContain("torn");
    expect(await readFile(this.disk, "torn.cairn")).toBe("not a container");
    for (const [tag, reason] of this.protected) {
      expect([tag, reason, tags.includes(tag)]).toEqual([tag, reason, true]);
    }
    for (const tag of tags.filter((each) => each !== "torn")) {
      const checkpoint = await engine.load(tag);
      await checkpoint.verify();
      await checkpoint.close();
    }
    if (committed === undefined) return;
    expect(tags).toContain(committed);
    const { checkpoint } = await recover(engine);
    expect(checkpoint?.tag).toBe(committed);
    await checkpoint?.close();
  }

  /** Somebody begins to read one of them, or ends. */
  async #lease(): Promise<void> {
    const engine = await this.engine();
    const own = (await engine.list()).filter((tag) => tag !== "torn" && tag !== "other");
    const tag = own[this.below(Math.max(1, own.length))];
    if (this.below(2) === 0 && tag !== undefined && !this.protected.has(tag)) {
      this.#leases.push(await Lease.take(engine, tag));
      this.protected.set(tag, "it is leased");
    } else if (this.below(2) === 0) {
      const lease = this.#leases.shift();
      await lease?.release();
      this.protected.delete(lease?.tag ?? "");
    }
  }

  async end(): Promise<void> {
    for (const lease of this.#leases) await lease.release();
    await saveState(await this.engine(), "end", { step: 1000 }, { step: 1000 });
    const names = (await this.disk.list("")).map(({ name }) => name);
    expect(names.filter((name) => name.startsWith(".tmp-"))).toEqual([]);
  }
}

describe("retention in a run that is killed and read at any time", () => {
  test("never loses what it has to keep, and leaves nothing behind", async () => {
    let [crashes, deletions] = [0, 0];
    for (let seed = SEED; seed < SEED + RUNS; seed++) {
      const run = new RandomRun(seed);
      try {
        await run.begin();
        for (let step = 0; step < STEPS; step++) await run.advance();
        await run.end();
      } catch (error) {
        throw new Error(`Run ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error });
      }
      crashes += run.crashes;
      deletions += run.deletions;
    }
    expect(crashes).toBeGreaterThan(RUNS);
    expect(deletions).toBeGreaterThan(RUNS);
  }, 600_000);
});
