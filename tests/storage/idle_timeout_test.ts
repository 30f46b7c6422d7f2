import { expect, test } from "bun:test";
import { IdleTimeout } from "../../src/storage/idle_timeout.ts";
import { VirtualClock } from "../helpers/virtual_clock.ts";

test("an IdleTimeout expires when nothing was heard for its time, and not before", async () => {
  const clock = new VirtualClock();
  const reason = new Error("silence");
  const idle = new IdleTimeout(100, clock, () => reason);
  for (let i = 0; i < 5; i++) {
    await clock.run(clock.sleep(90));
    expect(idle.signal.aborted).toBe(false);
    idle.heard();
  }
  await clock.run(clock.sleep(110));
  expect(clock.elapsedMs).toBe(560);
  expect(idle.signal.reason).toBe(reason);
});

test("an IdleTimeout that ended does not expire, and leaves no timer", async () => {
  const clock = new VirtualClock();
  const idle = new IdleTimeout(100, clock, () => new Error("silence"));
  idle.end();
  expect(clock.sleepers).toBe(0);
  await clock.run(clock.sleep(1000));
  expect(idle.signal.aborted).toBe(false);
});
