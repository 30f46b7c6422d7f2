import { describe, expect, test } from "bun:test";
import { Breather, nextTurn } from "../../src/base/event_loop.ts";

describe("nextTurn", () => {
  test("lets a timer that is due have its turn", async () => {
    let fired = false;
    setTimeout(() => fired = true, 0);
    for (let turn = 0; !fired && turn < 1_000_000; turn++) await nextTurn();
    expect(fired).toBe(true);
  });

  test("does the same without setImmediate, as in a browser", async () => {
    const host = globalThis as { setImmediate?: unknown };
    const { setImmediate } = host;
    host.setImmediate = undefined;
    try {
      let fired = false;
      setTimeout(() => fired = true, 0);
      for (let turn = 0; !fired && turn < 1_000_000; turn++) await nextTurn();
      expect(fired).toBe(true);
    } finally {
      host.setImmediate = setImmediate;
    }
  });
});

/** Whether other work had a turn while `work` was awaited. */
async function givesATurn(work: () => Promise<void>): Promise<boolean> {
  let hadTurn = false;
  const turn = nextTurn().then(() => hadTurn = true);
  await work();
  const result = hadTurn;
  await turn;
  return result;
}

describe("Breather", () => {
  test("goes straight on while the work has not held the loop for long", async () => {
    // A machine that stands still for 8 ms at the wrong moment makes a turn due, but not a hundred times.
    const turns: boolean[] = [];
    for (let attempt = 0; attempt < 100; attempt++) {
      const breather = new Breather();
      turns.push(await givesATurn(() => breather.breathe()));
    }
    expect(turns).toContain(false);
  });

  test("gives the loop a turn when the work has held it", async () => {
    const breather = new Breather();
    const busyUntil = performance.now() + 20;
    while (performance.now() < busyUntil);
    expect(await givesATurn(() => breather.breathe())).toBe(true);
  });
});
