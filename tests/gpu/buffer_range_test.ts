import { describe, expect, test } from "bun:test";
import { checkCopyRange } from "../../src/gpu/buffer_range.ts";

const buffer = { label: "weights", size: 64 } as unknown as GPUBuffer;

describe("checkCopyRange", () => {
  test("lets ranges pass that end with the buffer or are empty", () => {
    checkCopyRange({ buffer, offset: 0, size: 64 }, "Cannot copy");
    checkCopyRange({ buffer, offset: 64, size: 0 }, "Cannot copy");
  });

  for (const [offset, size] of [[2, 4], [0, 6], [-4, 4], [0, -4], [0.5, 4], [NaN, 4]] as const) {
    test(`refuses offset ${offset} with size ${size}`, () => {
      expect(() => checkCopyRange({ buffer, offset, size }, "Cannot copy")).toThrow(
        new RangeError(
          `Cannot copy: offset ${offset} and size ${size} have to be multiples of 4 that are not negative`,
        ),
      );
    });
  }

  test("refuses a range that ends outside of the buffer and names it", () => {
    expect(() => checkCopyRange({ buffer, offset: 32, size: 36 }, "Cannot copy")).toThrow(
      'Cannot copy: bytes 32 to 68 lie outside of buffer "weights" of 64 bytes',
    );
  });
});
