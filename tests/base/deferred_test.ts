import { expect, test } from "bun:test";
import { deferred } from "../../src/base/deferred.ts";
import { thrownBy } from "../helpers/thrown.ts";

test("a deferred promise settles once, as it is first told to", async () => {
  const kept = deferred();
  let isSettled = false;
  void kept.promise.then(() => isSettled = true);
  await Promise.resolve();
  expect(isSettled).toBe(false);
  kept.resolve();
  kept.reject(new Error("too late"));
  expect(await kept.promise).toBeUndefined();
  expect(isSettled).toBe(true);

  const broken = deferred();
  const reason = new Error("the reason");
  broken.reject(reason);
  broken.resolve();
  expect(await thrownBy(() => broken.promise)).toBe(reason);
});
