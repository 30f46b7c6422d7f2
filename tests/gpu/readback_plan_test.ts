import { describe, expect, test } from "bun:test";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { planReadback } from "../../src/gpu/readback_plan.ts";

const source = { label: "source", size: 1 << 20, usage: BufferUsage.COPY_SRC } as unknown as GPUBuffer;
const mappable = {
  label: "mappable",
  size: 1 << 20,
  usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST,
} as unknown as GPUBuffer;
const otherMappable = { ...mappable, label: "other" };

/**
 * Steps as "offset+size@slotOffset" for each piece, slots in brackets, behind the first slot where that is not 0; and
 * as "map label offset+size" where nothing is copied.
 */
function planned(
  ranges: [offset: number, size: number, buffer?: GPUBuffer][],
  slots: number,
  slotBytes: number,
): string[] {
  const plan = planReadback(
    ranges.map(([offset, size, buffer = source]) => ({ buffer, offset, size })),
    slots,
    slotBytes,
  );
  return plan.map((step) => {
    if ("mappable" in step) {
      return `map ${step.mappable.label} ${
        step.pieces.map(({ offset, size }) => `${offset}+${size}`).join(" ")
      }`;
    }
    const slotTexts = step.fills.map(({ pieces, byteLength }) => {
      const text = pieces.map((piece) => `${piece.offset}+${piece.size}@${piece.slotOffset}`).join(" ");
      return `[${text} =${byteLength}]`;
    });
    return `${step.firstSlot === 0 ? "" : `${step.firstSlot}: `}${slotTexts.join("")}`;
  });
}

describe("planReadback", () => {
  test("puts small ranges into one slot", () => {
    expect(planned([[0, 8], [64, 4], [128, 4]], 2, 256)).toEqual(["[0+8@0 64+4@8 128+4@12 =16]"]);
  });

  test("cuts a large range at the slots, in one step where they are enough", () => {
    expect(planned([[0, 512]], 2, 256)).toEqual(["[0+256@0 =256][256+256@0 =256]"]);
  });

  test("takes the slots one by one, round and round, where they are not enough", () => {
    expect(planned([[0, 600]], 2, 256)).toEqual(["[0+256@0 =256]", "1: [256+256@0 =256]", "[512+88@0 =88]"]);
    expect(planned([[0, 600]], 1, 256)).toEqual(["[0+256@0 =256]", "[256+256@0 =256]", "[512+88@0 =88]"]);
  });

  test("fills a slot to its end with the beginning of the next range", () => {
    expect(planned([[0, 200], [400, 100]], 2, 256)).toEqual(["[0+200@0 400+56@200 =256][456+44@0 =44]"]);
  });

  test("maps what can be mapped, a buffer once and in pieces of a slot, and goes on with the slots where it was", () => {
    expect(
      planned([[0, 8], [8, 1000, mappable], [2000, 4, mappable], [0, 4, otherMappable], [64, 4]], 2, 256),
    )
      .toEqual([
        "[0+8@0 =8]",
        "map mappable 8+256 264+256 520+256 776+232 2000+4",
        "map other 0+4",
        "1: [64+4@0 =4]",
      ]);
    expect(planned([[0, 300], [0, 8, mappable], [400, 300], [0, 4, mappable]], 3, 256)).toEqual([
      "[0+256@0 =256]",
      "1: [256+44@0 =44]",
      "map mappable 0+8",
      "2: [400+256@0 =256]",
      "[656+44@0 =44]",
      "map mappable 0+4",
    ]);
  });

  test("plans nothing for nothing and leaves out empty ranges", () => {
    expect(planned([], 2, 256)).toEqual([]);
    expect(planned([[0, 0], [4, 0]], 2, 256)).toEqual([]);
    expect(planned([[0, 0], [4, 4]], 2, 256)).toEqual(["[4+4@0 =4]"]);
  });
});
