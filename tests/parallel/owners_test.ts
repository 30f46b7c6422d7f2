import { describe, expect, test } from "bun:test";
import { ProcessGroup } from "../../src/checkpoint/ranks/process_group.ts";
import { Owners } from "../../src/parallel/owners.ts";

const SIZES = [["a", 256], ["large", 4096], ["b", 256], ["c", 512], ["middle", 2048], ["none", 0]] as const;

describe("owners", () => {
  test("share out what there is, largest first, the same on every rank", () => {
    const all = ProcessGroup.inMemory(3).map((group) => {
      const owners = new Owners(group, SIZES);
      return SIZES.map(([name]) => owners.of(name));
    });
    const expected = [2, 0, 2, 2, 1, 2];
    expect(all).toEqual([expected, expected, expected]);
  });

  test("leave a rank without anything where there is less than ranks, and know nothing else", () => {
    const [first, second, third] = ProcessGroup.inMemory(3).map((group) =>
      new Owners(group, [["a", 1], ["b", 2]])
    );
    expect([first, second, third].map((owners) => [owners?.owns("a"), owners?.owns("b"), owners?.owns("x")]))
      .toEqual([
        [false, true, false],
        [true, false, false],
        [false, false, false],
      ]);
  });
});
