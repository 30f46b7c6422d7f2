import { describe, expect, test } from "bun:test";
import { Pace } from "../../src/gpu/pace.ts";
import { gpuTest } from "../helpers/gpu.ts";

/** A queue whose fences are passed by hand. */
function manualQueue({ hasBlockingFences = false, isCpuAdapter = false } = {}) {
  const passed: (() => void)[] = [];
  const queue = { onSubmittedWorkDone: () => new Promise<void>((resolve) => passed.push(resolve)) };
  return { gpu: { device: { queue } as unknown as GPUDevice, hasBlockingFences, isCpuAdapter }, passed };
}

/** A clock that only moves when it is told to, or slept by. */
function manualClock() {
  const slept: number[] = [];
  const clock = {
    ms: 0,
    now: () => clock.ms,
    sleep: (ms: number) => {
      slept.push(ms);
      clock.ms += ms;
      return Promise.resolve();
    },
  };
  return { clock, slept };
}

async function isDone(promise: Promise<void>): Promise<boolean> {
  const marker = Symbol();
  await new Promise((resolve) => setTimeout(resolve, 0));
  return await Promise.race([promise, Promise.resolve(marker)]) !== marker;
}

describe("Pace", () => {
  test("lets so many submits be under way, and the next one waits for the first of them", async () => {
    const { gpu, passed } = manualQueue();
    const pace = new Pace(gpu, 2);
    expect(await isDone(pace.afterSubmit())).toBe(true);
    expect(await isDone(pace.afterSubmit())).toBe(true);
    const third = pace.afterSubmit();
    expect(await isDone(third)).toBe(false);
    passed[0]?.();
    expect(await isDone(third)).toBe(true);
  });

  test("never waits where a fence would block the thread", async () => {
    const { gpu, passed } = manualQueue({ hasBlockingFences: true });
    const pace = new Pace(gpu, 1);
    for (let submit = 0; submit < 5; submit++) expect(await isDone(pace.afterSubmit())).toBe(true);
    expect(passed.length).toBe(0);
  });

  test("on a processor's adapter, asks for no fence before submits are too many, and then for one", async () => {
    const { gpu, passed } = manualQueue({ isCpuAdapter: true });
    const pace = new Pace(gpu, 2, manualClock().clock);
    expect(await isDone(pace.afterSubmit())).toBe(true);
    expect(await isDone(pace.afterSubmit())).toBe(true);
    expect(passed.length).toBe(0);
    const third = pace.afterSubmit();
    expect(await isDone(third)).toBe(false);
    expect(passed.length).toBe(1);
    passed[0]?.();
    expect(await isDone(third)).toBe(true);
  });

  test("on a processor's adapter, sleeps for 0.55 of the time that the last submits took", async () => {
    const { gpu, passed } = manualQueue({ isCpuAdapter: true });
    const { clock, slept } = manualClock();
    const pace = new Pace(gpu, 1, clock);
    /** Two submits, which take `gpuMs`; the host is busy for `hostMs` between them. */
    async function group(gpuMs: number, hostMs = 0): Promise<void> {
      const end = clock.ms + gpuMs;
      await pace.afterSubmit();
      clock.ms += hostMs;
      const fences = passed.length;
      const waiting = pace.afterSubmit();
      await isDone(waiting);
      expect(passed.length).toBe(fences + 1);
      clock.ms = Math.max(clock.ms, end);
      passed.at(-1)?.();
      await waiting;
    }
    await group(100);
    expect(slept).toEqual([]);
    await group(40);
    expect(slept).toHaveLength(1);
    expect(slept[0]).toBeCloseTo(55, 6);
    // The sleep was longer than the work, and the next guess is shorter.
    await group(100, 10);
    expect(slept[1]).toBeCloseTo(0.55 * 55 - 10, 6);
    // A host that is slower than the GPU never sleeps.
    await group(100, 200);
    await group(100, 200);
    expect(slept.length).toBe(2);
  });

  gpuTest("goes on when the device does what it was given", async (gpu) => {
    const pace = new Pace(gpu, 1);
    for (let submit = 0; submit < 5; submit++) {
      gpu.submit([]);
      await pace.afterSubmit();
    }
    expect(gpu.isLost).toBe(false);
  });
});
