import { describe, expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import { Interrupts } from "../../src/train/interrupts.ts";
import { nextTurn } from "../../src/base/event_loop.ts";

describe("Interrupts", () => {
  test("remembers the first signal and leaves the second to the process", () => {
    const host = new EventEmitter();
    const interrupts = new Interrupts(host);
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
    const interrupts = new Interrupts(host);
    expect(host.listenerCount("SIGINT")).toBe(1);
    interrupts.stop();
    interrupts.stop();
    expect(host.listenerCount("SIGINT")).toBe(0);
  });

  test("hears nothing where there is no process", () => {
    const interrupts = new Interrupts(null);
    interrupts.stop();
    expect(interrupts.received).toBe(undefined);
  });
});

describe("nextTurn", () => {
  test("lets a timer that is due have its turn", async () => {
    let fired = false;
    setTimeout(() => fired = true, 0);
    const start = performance.now();
    while (!fired && performance.now() - start < 2000) await nextTurn();
    expect(fired).toBe(true);
  });
});
