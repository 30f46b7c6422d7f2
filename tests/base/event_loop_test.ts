import { describe, expect, test } from "bun:test";
import { Breather, nextTurn } from "../../src/base/event_loop.ts";

describe("nextTurn", () => {
  test("lets a timer that is due have its turn", async () => {
    let fired = false;
    setTimeout(() => fired = true, 0);
    for (let turn = 0; turn < 1000 && !fired; turn++) await nextTurn();
    expect(fired).toBe(true);
  });

  test("does the same without setImmediate, as in a browser", async () => {
    const host = globalThis as { setImmediate?: unknown };
    const { setImmediate } = host;
    host.setImmediate = undefined;
    try {
      let fired = false;
      setTimeout(() => fired = true, 0);
      const start = performance.now();
      while (!fired && performance.now() - start < 5000) await nextTurn();
      expect(fired).toBe(true);
    } finally {
      host.setImmediate = setImmediate;
    }
  });
});

describe("Breather", () => {
  test("gives the loop a turn only after the work has held it for a while", async () => {
    const breather = new Breather();
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    await breather.breathe();
    expect(turns).toBe(0);
    const start = performance.now();
    while (turns === 0 && performance.now() - start < 5000) {
      const busyUntil = performance.now() + 10;
      while (performance.now() < busyUntil);
      await breather.breathe();
    }
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
  });
});
