import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { deferred } from "../../src/base/deferred.ts";
import { Breather, nextTurn } from "../../src/base/event_loop.ts";
import { PollingPauses } from "../../src/gpu/polling_pauses.ts";
import { gpuTest } from "../helpers/gpu.ts";

const { wait } = Atomics;
let pauses = 0;

beforeEach(() => {
  pauses = 0;
  Atomics.wait = ((...args: Parameters<typeof wait>) => {
    pauses += 1;
    return wait(...args);
  }) as typeof wait;
});

afterEach(() => {
  Atomics.wait = wait;
});

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

describe("PollingPauses", () => {
  test("gives what is waited for, and throws what it throws", async () => {
    const waits = new PollingPauses();
    expect(await waits.during(Promise.resolve(7))).toBe(7);
    await expect(waits.during(Promise.reject(new Error("lost")))).rejects.toThrow("lost");
  });

  test("a wait of one turn of the event loop has no pause", async () => {
    await new PollingPauses().during(nextTurn());
    expect(pauses).toBe(0);
  });

  test("pauses once a turn while something is waited for, however much it is", async () => {
    const waits = new PollingPauses();
    const { promise, resolve } = deferred();
    const all = Promise.all([waits.during(promise), waits.during(promise), waits.during(promise)]);
    await turns(10);
    expect(pauses).toBeGreaterThan(5);
    expect(pauses).toBeLessThanOrEqual(10);
    resolve();
    await all;
  });

  test("does not pause while somebody has work for the thread", async () => {
    const { promise, resolve } = deferred();
    const waiting = new PollingPauses().during(promise);
    await turns(4);
    const before = pauses;
    expect(before).toBeGreaterThan(0);
    const [calm, wanted] = [new Breather(), new Breather({ isWanted: true })];
    const workFor = async (breather: Breather): Promise<void> => {
      for (let piece = 0; piece < 8; piece++) {
        const { now } = performance;
        // As if a piece took a second.
        performance.now = () => now.call(performance) + 1000;
        const breathing = breather.breathe();
        performance.now = now;
        await breathing;
      }
    };
    await workFor(wanted);
    expect(pauses).toBe(before);
    await workFor(calm);
    expect(pauses).toBeGreaterThan(before);
    resolve();
    await waiting;
  });

  test("ends with the last wait, and begins again with the next", async () => {
    const waits = new PollingPauses();
    const [first, second] = [deferred(), deferred()];
    const both = [waits.during(first.promise), waits.during(second.promise)];
    first.resolve();
    await both[0];
    await turns(6);
    const beforeEnd = pauses;
    expect(beforeEnd).toBeGreaterThan(0);
    second.resolve();
    await both[1];
    await turns(6);
    expect(pauses).toBeLessThanOrEqual(beforeEnd + 1);
    pauses = 0;
    const third = deferred();
    const last = waits.during(third.promise);
    await turns(6);
    expect(pauses).toBeGreaterThan(0);
    third.resolve();
    await last;
  });

  gpuTest("a device has them where Dawn polls on the processor that computes", async (gpu) => {
    const { promise, resolve } = deferred();
    const waiting = gpu.waitFor(promise);
    await turns(8);
    expect(pauses > 0).toBe(gpu.provider === "dawn" && gpu.isCpuAdapter);
    resolve();
    await waiting;
  });
});
