import { expect, test } from "bun:test";
import { requireParts, untyped } from "../../../src/train/loop/run_options.ts";
import { smallRun } from "../fixtures.ts";

test("a batch in shards is not cut into micro-batches as well", () => {
  const run = untyped({ ...smallRun(), parallel: { shards: 4 } });
  expect(() => requireParts(run)).not.toThrow();
  expect(() => requireParts({ ...run, microBatchSize: 4 })).toThrow(
    "leave microBatchSize out, and give parallel more shards",
  );
});
