import { describe, expect, test } from "bun:test";
import { terminalProgress, type TrainingProgress } from "../../../src/train/log/progress.ts";

function at(step: number, metrics: Record<string, number> = {}): TrainingProgress {
  return { step, totalSteps: 100, epoch: 1 + Math.floor(step / 50), totalEpochs: 2, loss: 0.5, metrics };
}

describe("terminalProgress", () => {
  test("writes a plain line for each epoch where there is no terminal, and others only now and then", async () => {
    let text = "";
    let now = 0;
    const reporter = terminalProgress({
      stream: { write: (part: string) => text += part },
      lineIntervalMs: 1000,
      now: () => now,
    });
    await reporter.start?.(at(0));
    for (let step = 1; step <= 50; step++) {
      now += 30;
      reporter.step?.(at(step));
    }
    reporter.epoch?.({ ...at(49, { loss: 0.5, val_loss: 0.25 }), step: 50 });
    reporter.warning?.("the disk is slow");
    reporter.stop?.();
    expect(text.split("\n")).toEqual([
      "epoch 1/2, step 34/100, loss 0.5000",
      "epoch 1/2, step 50, loss 0.5000, val_loss 0.2500",
      "warning: the disk is slow",
      "",
    ]);
  });

  test("draws a bar in a terminal, with whole lines above it", async () => {
    let text = "";
    const stream = {
      isTTY: true,
      columns: 120,
      write: (part: string) => text += part,
      on: () => {},
      once: () => {},
    };
    const reporter = terminalProgress({ stream });
    await reporter.start?.(at(0));
    reporter.step?.(at(10));
    reporter.epoch?.(at(49, { val_loss: 0.25 }));
    reporter.stop?.();
    expect(text).toContain("epoch 1/2");
    expect(text).toContain("/100 steps");
    expect(text).toContain("epoch 1/2, step 49, val_loss 0.2500\n");
  });

  test("TR-07 says how many kernels are compiled before the first step: in a line now and then", () => {
    let text = "";
    let now = 0;
    const reporter = terminalProgress({
      stream: { write: (part: string) => text += part },
      lineIntervalMs: 1000,
      now: () => now,
    });
    for (let done = 0; done <= 8; done++) {
      reporter.compile?.({ done, total: 8 });
      now += 400;
    }
    expect(text.split("\n")).toEqual([
      "compiling kernels 0/8",
      "compiling kernels 3/8",
      "compiling kernels 6/8",
      "",
    ]);
  });

  test("TR-07 says how many kernels are compiled in one line of a terminal, which it takes away", async () => {
    let text = "";
    const stream = {
      isTTY: true,
      columns: 120,
      write: (part: string) => text += part,
      on: () => {},
      once: () => {},
    };
    const reporter = terminalProgress({ stream });
    reporter.compile?.({ done: 0, total: 2 });
    reporter.compile?.({ done: 1, total: 2 });
    expect(text).toBe("\r\x1b[Kcompiling kernels 0/2\r\x1b[Kcompiling kernels 1/2");
    reporter.compile?.({ done: 2, total: 2 });
    expect(text.endsWith("1/2\r\x1b[K")).toBe(true);
    await reporter.start?.(at(0));
    reporter.stop?.();
    const failed = terminalProgress({ stream });
    failed.compile?.({ done: 0, total: 2 });
    failed.stop?.();
    expect(text.endsWith("compiling kernels 0/2\r\x1b[K")).toBe(true);
  });

  test("leaves no timer and no signal handler behind", async () => {
    const before = process.listenerCount("SIGINT");
    const reporter = terminalProgress({ stream: { isTTY: true, write: () => true } });
    await reporter.start?.(at(0));
    expect(process.listenerCount("SIGINT")).toBe(before);
    reporter.stop?.();
  });
});
