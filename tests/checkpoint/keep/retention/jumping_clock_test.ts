import { describe, expect, test } from "bun:test";
import { everyNSeconds, latestDuration } from "../../../../src/checkpoint/keep/retention/by_time.ts";
import { anyOf } from "../../../../src/checkpoint/keep/retention/combine.ts";
import { retain } from "../../../../src/checkpoint/keep/retention/retention.ts";
import type { RetentionCandidate, RetentionRule } from "../../../../src/checkpoint/keep/retention/rule.ts";
import { counterRandom, memoryEngine, saveState } from "../../fixtures.ts";

const HOUR = 3600;

/** Saves every 10 s while the clock reads so many seconds beside the true time, with retention after each one. */
function runWith(rule: RetentionRule, offsets: readonly number[]): RetentionCandidate[] {
  let left: RetentionCandidate[] = [];
  for (const [index, offset] of offsets.entries()) {
    const newest = { tag: String(index), step: index, timeMs: (index * 10 + offset) * 1000, metrics: {} };
    const kept = rule.keep([...left, newest]);
    left = [...left.filter(({ tag }) => kept.has(tag)), newest];
  }
  return left;
}

/** True times of what is left. */
function timesLeft(rule: RetentionRule, offsets: readonly number[]): number[] {
  return runWith(rule, offsets).map(({ tag }) => Number(tag) * 10);
}

const steady = (count: number): number[] => new Array<number>(count).fill(0);

describe("ages, when the clock jumps", () => {
  test("count from the newest by order, after the clock was ahead at one save", () => {
    const offsets = steady(20);
    offsets[2] = 1000 * HOUR;
    // The one from the future stays; what came after it is not taken for old.
    expect(timesLeft(latestDuration(50), offsets)).toEqual([20, 140, 150, 160, 170, 180, 190]);
  });

  test("count from the newest by order, after the clock was set back", () => {
    const offsets = [...new Array<number>(5).fill(1000 * HOUR), ...steady(6)];
    const left = timesLeft(latestDuration(30), offsets);
    // None of the time before is deleted for a time that lies ahead now; those that came after count as they should.
    expect(left).toEqual([10, 20, 30, 40, 70, 80, 90, 100]);
  });

  test("count from the newest that has a time", () => {
    const at = (tag: string, timeMs: number | undefined): RetentionCandidate => ({
      tag,
      step: undefined,
      timeMs,
      metrics: {},
    });
    const kept = latestDuration(1).keep([at("a", 2e9), at("b", 0), at("c", 1e6), at("d", undefined)]);
    expect([...kept.keys()]).toEqual(["a", "c"]);
  });

  test("of any number of jumps never delete what was saved in the true last seconds since the last jump", () => {
    for (let seed = 0; seed < 200; seed++) {
      const [jumps = 0, ...bytes] = counterRandom(seed + 1)(60);
      let offset = 0;
      let lastJump = 0;
      const offsets = bytes.slice(0, 20 + jumps % 30).map((byte, index) => {
        if (byte % 7 === 0) {
          offset = (byte - 128) * HOUR;
          lastJump = index;
        }
        return offset;
      });
      const left = new Set(timesLeft(latestDuration(60), offsets));
      const end = (offsets.length - 1) * 10;
      for (let time = Math.max(lastJump * 10, end - 60); time <= end; time += 10) {
        expect(`${seed}: ${time} ${left.has(time)}`).toBe(`${seed}: ${time} true`);
      }
    }
  });

  test("never delete a checkpoint whose time lies after the newest one's", () => {
    for (let seed = 0; seed < 200; seed++) {
      const offsets = [...counterRandom(seed + 1)(30)].map((byte) => (byte - 128) * HOUR);
      const rule = latestDuration(100);
      let left: RetentionCandidate[] = [];
      for (const [index, offset] of offsets.entries()) {
        const newest = { tag: String(index), step: index, timeMs: (index * 10 + offset) * 1000, metrics: {} };
        const kept = rule.keep([...left, newest]);
        for (const { tag, timeMs = 0 } of left) if (timeMs > newest.timeMs) expect(kept.has(tag)).toBe(true);
        left = [...left.filter(({ tag }) => kept.has(tag)), newest];
      }
    }
  });

  test("everyNSeconds keeps one from each stretch that the clock went on evenly, however it jumped", () => {
    for (let seed = 0; seed < 200; seed++) {
      let offset = 0;
      const jumps: number[] = [0];
      const offsets = [...counterRandom(seed + 1)(60)].map((byte, index) => {
        if (byte % 19 === 0 && index > 0) {
          offset = (byte - 128) * HOUR;
          jumps.push(index);
        }
        return offset;
      });
      const left = timesLeft(everyNSeconds(50), offsets);
      for (const [index, from] of jumps.entries()) {
        const to = (jumps[index + 1] ?? offsets.length) - 1;
        // A stretch that is long enough has at least one for each 50 s and a bit.
        for (let start = from * 10; start + 100 <= to * 10; start += 10) {
          expect(left.some((time) => time >= start && time <= start + 100)).toBe(true);
        }
      }
    }
  });

  test("in an engine: a clock that was ahead at one save costs no good checkpoint", async () => {
    let nowMs = Date.UTC(2026, 0, 1);
    const engine = await memoryEngine(undefined, { now: () => nowMs });
    const rule = anyOf(latestDuration(3 * HOUR), everyNSeconds(24 * HOUR));
    for (let hour = 1; hour <= 8; hour++) {
      const realMs = Date.UTC(2026, 0, 1, hour);
      nowMs = hour === 2 ? realMs + 10_000 * HOUR * 1000 : realMs;
      await saveState(engine, `h${hour}`, { hour });
      await retain(engine, `h${hour}`, { rule }, { now: () => nowMs });
    }
    // The first of a day, the one from the future, and the last three hours. Those after it began a day anew.
    expect(await engine.list()).toEqual(["h1", "h2", "h3", "h5", "h6", "h7", "h8"]);
  });
});
