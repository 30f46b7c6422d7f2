import { describe, expect, test } from "bun:test";
import { Pace } from "../../src/gpu/pace.ts";
import { gpuTest } from "../helpers/gpu.ts";

/** A queue whose fences are passed by hand. */
function manualQueue({ hasBlockingFences = false } = {}) {
  const passed: (() => void)[] = [];
  const queue = { onSubmittedWorkDone: () => new Promise<void>((resolve) => passed.push(resolve)) };
  const waitFor = <T>(work: Promise<T>): Promise<T> => work;
  return { gpu: { device: { queue } as unknown as GPUDevice, hasBlockingFences, waitFor }, passed };
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

  gpuTest("goes on when the device does what it was given", async (gpu) => {
    const pace = new Pace(gpu, 1);
    for (let submit = 0; submit < 5; submit++) {
      gpu.submit([]);
      await pace.afterSubmit();
    }
    expect(gpu.isLost).toBe(false);
  });
});
