import { describe, expect, test } from "bun:test";
import { planTurns } from "../../src/gpu/readback_plan.ts";

const buffer = { label: "source", size: 1 << 20 } as unknown as GPUBuffer;

/** Turns as "offset+size@slotOffset" for each piece, slots in brackets. */
function planned(ranges: [number, number][], slots: number, slotBytes: number): string[] {
  const plan = planTurns(ranges.map(([offset, size]) => ({ buffer, offset, size })), slots, slotBytes);
  return [...plan].map((turn) =>
    turn.map(({ pieces, byteLength }) => {
      const text = pieces.map((piece) => `${piece.offset}+${piece.size}@${piece.slotOffset}`).join(" ");
      return `[${text} =${byteLength}]`;
    }).join("")
  );
}

describe("planTurns", () => {
  test("puts small ranges into one slot", () => {
    expect(planned([[0, 8], [64, 4], [128, 4]], 2, 256)).toEqual(["[0+8@0 64+4@8 128+4@12 =16]"]);
  });

  test("cuts a large range at the slots, and starts a new turn when the slots are used up", () => {
    expect(planned([[0, 1000]], 2, 256)).toEqual([
      "[0+256@0 =256][256+256@0 =256]",
      "[512+256@0 =256][768+232@0 =232]",
    ]);
  });

  test("fills a slot to its end with the beginning of the next range", () => {
    expect(planned([[0, 200], [400, 100]], 2, 256)).toEqual(["[0+200@0 400+56@200 =256][456+44@0 =44]"]);
  });

  test("plans nothing for nothing and leaves out empty ranges", () => {
    expect(planned([], 2, 256)).toEqual([]);
    expect(planned([[0, 0], [4, 0]], 2, 256)).toEqual([]);
    expect(planned([[0, 0], [4, 4]], 2, 256)).toEqual(["[4+4@0 =4]"]);
  });
});
