import { describe, expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import type { Clock } from "../../src/base/clock.ts";
import { exitCodeOf, Interrupts } from "../../src/train/interrupts.ts";
import { nextTurn } from "../../src/base/event_loop.ts";

describe("Interrupts", () => {
  test("remembers the first signal and leaves the second to the process", () => {
    const host = new EventEmitter();
    const interrupts = new Interrupts({}, host);
    expect(interrupts.received).toBe(undefined);
    host.emit("SIGTERM");
    expect(interrupts.received).toBe("SIGTERM");
    expect(host.listenerCount("SIGINT")).toBe(0);
    expect(host.listenerCount("SIGTERM")).toBe(0);
    host.emit("SIGINT");
    expect(interrupts.received).toBe("SIGTERM");
  });

  test("leaves no listener behind when nothing came", () => {
    const host = new EventEmitter();
    const interrupts = new Interrupts({}, host);
    expect(host.listenerCount("SIGINT")).toBe(1);
    interrupts.stop();
    interrupts.stop();
    expect(host.listenerCount("SIGINT")).toBe(0);
  });

  test("hears nothing where there is no process", () => {
    const interrupts = new Interrupts({}, null);
    interrupts.stop();
    expect(interrupts.received).toBe(undefined);
  });
});

describe("the grace time", () => {
  /** A clock whose sleeps end when the test says so. */
  function heldClock(): { clock: Clock; slept: number[]; release: () => void } {
    const slept: number[] = [];
    let release = (): void => {};
    const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
      new Promise((resolve) => {
        slept.push(ms);
        release = resolve;
        signal?.addEventListener("abort", () => resolve());
      });
    return { clock: { now: () => 0, sleep }, slept, release: () => release() };
  }

  test("begins with the signal, and what is overdue is told with a TimeoutError", async () => {
    const host = new EventEmitter();
    const { clock, slept, release } = heldClock();
    const interrupts = new Interrupts({ graceMs: 5000 }, host, clock);
    expect(slept).toEqual([]);
    host.emit("SIGTERM");
    expect([slept, interrupts.stopping.aborted, interrupts.overdue.aborted]).toEqual([[5000], true, false]);
    release();
    await nextTurn();
    expect(interrupts.overdue.aborted).toBe(true);
    expect(interrupts.overdue.reason.name).toBe("TimeoutError");
    expect(interrupts.overdue.reason.message).toBe("SIGTERM came and its grace time of 5000 ms is over");
  });

  test("of 0 is over at once, and without one it never is", () => {
    const host = new EventEmitter();
    const none = new Interrupts({ graceMs: 0 }, host);
    const endless = new Interrupts({}, host);
    host.emit("SIGINT");
    expect([none.overdue.aborted, endless.overdue.aborted, endless.stopping.aborted]).toEqual([
      true,
      false,
      true,
    ]);
  });

  test("that is not needed any more ends silently", async () => {
    const host = new EventEmitter();
    const { clock } = heldClock();
    const interrupts = new Interrupts({ graceMs: 5000 }, host, clock);
    host.emit("SIGTERM");
    interrupts.stop();
    await nextTurn();
    expect(interrupts.overdue.aborted).toBe(false);
  });

  test("is a number from 0", () => {
    for (const graceMs of [-1, NaN, Infinity, "5" as unknown as number]) {
      expect(() => new Interrupts({ graceMs }, null)).toThrow("graceMs is a number of milliseconds from 0");
    }
  });

  test("the exit codes are those of the signals", () => {
    expect([exitCodeOf("SIGINT"), exitCodeOf("SIGTERM")]).toEqual([130, 143]);
  });
});

describe("nextTurn", () => {
  test("lets a timer that is due have its turn", async () => {
    let fired = false;
    setTimeout(() => fired = true, 0);
    for (let turn = 0; !fired && turn < 1_000_000; turn++) await nextTurn();
    expect(fired).toBe(true);
  });
});
