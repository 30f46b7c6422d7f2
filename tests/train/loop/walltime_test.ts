import { expect, test } from "bun:test";
import { Walltime } from "../../../src/train/loop/walltime.ts";

test("walltime adds up what runs, goes on from a restore, and loses nothing to a clock that is set back", () => {
  let now = 5000;
  const walltime = new Walltime(() => now);
  expect(walltime.seconds).toBe(0);
  walltime.run(true);
  now += 2000;
  expect(walltime.seconds).toBe(2);
  walltime.run(false);
  now += 7000;
  expect(walltime.seconds).toBe(2);
  walltime.set(100);
  walltime.run(true);
  now -= 60_000;
  expect(walltime.seconds).toBe(100);
});
