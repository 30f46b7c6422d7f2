import { describe, expect, test } from "bun:test";
import { atOnce, inSlices, Slice, type Sliced } from "../../src/base/slices.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { turnsDuring } from "../helpers/turns.ts";

function* counting(values: number): Sliced<number> {
  const slice = new Slice();
  for (let value = 0; value < values; value++) if (slice.isOver()) yield;
  return values;
}

describe("work in slices", () => {
  test("gives the event loop a turn for each slice, however fast it is", async () => {
    for (const [values, least] of [[100, 0], [10_000, 9], [100_000, 99]] as const) {
      let result: number | undefined;
      const turns = await turnsDuring(async () => void (result = await inSlices(counting(values))));
      expect(result).toBe(values);
      expect(turns).toBeGreaterThanOrEqual(least);
    }
  });

  test("gives no turn to work that is done at once", () => {
    expect(atOnce(counting(100_000))).toBe(100_000);
  });

  test("is over sooner where a value counts as several", () => {
    const slice = new Slice();
    let values = 1;
    while (!slice.isOver(10)) values++;
    expect(values).toBe(100);
  });

  test("rejects with what it throws, at whatever slice", async () => {
    function* failing(): Sliced<number> {
      yield;
      throw new RangeError("in the second slice");
    }
    expect((await thrownBy(() => inSlices(failing()))).message).toBe("in the second slice");
    expect((await thrownBy(() => atOnce(failing()))).message).toBe("in the second slice");
  });
});
