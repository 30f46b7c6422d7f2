import { expect, test } from "bun:test";
import { throwIfAborted } from "../../src/base/abort.ts";
import { thrownBy } from "../helpers/thrown.ts";

test("throwIfAborted throws the signal's own reason, and only once it is aborted", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  throwIfAborted(undefined);
  throwIfAborted(controller.signal);
  controller.abort(reason);
  expect(await thrownBy(() => throwIfAborted(controller.signal))).toBe(reason);
});
