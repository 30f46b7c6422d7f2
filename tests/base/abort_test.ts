import process from "node:process";
import { expect, test } from "bun:test";
import { throwIfAborted, unlessAborted } from "../../src/base/abort.ts";
import { thrownBy } from "../helpers/thrown.ts";

test("throwIfAborted throws the signal's own reason, and only once it is aborted", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  throwIfAborted(undefined);
  throwIfAborted(controller.signal);
  controller.abort(reason);
  expect(await thrownBy(() => throwIfAborted(controller.signal))).toBe(reason);
});

test("unlessAborted gives what the work gives, or the signal's reason when the work never ends", async () => {
  const controller = new AbortController();
  expect(await unlessAborted(Promise.resolve(1), controller.signal)).toBe(1);
  const failure = new Error("failed");
  expect(await thrownBy(() => unlessAborted(Promise.reject(failure), controller.signal))).toBe(failure);
  const waiting = unlessAborted(new Promise(() => {}), controller.signal);
  const reason = new Error("enough");
  controller.abort(reason);
  expect(await thrownBy(() => waiting)).toBe(reason);
  expect(await thrownBy(() => unlessAborted(Promise.resolve(1), controller.signal))).toBe(reason);
});

test("unlessAborted drops what work throws that began with an aborted signal", async () => {
  const unhandled: unknown[] = [];
  const listen = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", listen);
  try {
    const reason = new Error("enough");
    const work = Promise.reject(new Error("aborted as well"));
    expect(await thrownBy(() => unlessAborted(work, AbortSignal.abort(reason)))).toBe(reason);
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(unhandled).toEqual([]);
  } finally {
    process.off("unhandledRejection", listen);
  }
});
