import { describe, expect, test } from "bun:test";
import { ProcessGroup } from "../../src/checkpoint/ranks/process_group.ts";
import { checkParallel } from "../../src/parallel/data_parallel_options.ts";

describe("the option parallel", () => {
  test("has a number of shards from 1, and a group if any", () => {
    for (const shards of [0, 1.5, NaN, "8"]) {
      expect(() => checkParallel({ shards: shards as number })).toThrow(
        "parallel.shards is an integer from 1",
      );
    }
    expect(() => checkParallel({ shards: 8, group: 3 as never })).toThrow("parallel.group is a ProcessGroup");
    expect(() => checkParallel({ shards: 8, ranks: 3 } as never)).toThrow(TypeError);
  });

  test("has a shard at least for each rank", () => {
    const [group] = ProcessGroup.inMemory(3);
    expect(() => checkParallel({ shards: 2, group })).toThrow("3 ranks cannot share 2 shards");
    expect(() => checkParallel({ shards: 3, group })).not.toThrow();
  });
});
