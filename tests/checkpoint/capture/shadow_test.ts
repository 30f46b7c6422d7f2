import { describe, expect, test } from "bun:test";
import { copiesOf } from "../../../src/checkpoint/capture/shadow.ts";

/** A buffer as far as planning copies looks at it. */
function buffer(label: string, size: number): GPUBuffer {
  return { label, size } as unknown as GPUBuffer;
}

const slab = buffer("slab", 2500);
const shadow = { buffers: [buffer("a", 256), buffer("b", 1792), buffer("c", 452)] };
const starts = [0, 256, 2048];

/** Copies as "from+size>buffer@offset". */
function planned(offset: number, byteLength: number): string[] {
  return copiesOf({ buffer: slab, offset, byteLength }, shadow).map(({ sourceOffset, target }) =>
    `${sourceOffset}+${target.size}>${target.buffer.label}@${target.offset}`
  );
}

describe("copiesOf", () => {
  test("cuts a range where one buffer of the shadow ends and the next begins", () => {
    expect(planned(0, 2500)).toEqual(["0+256>a@0", "256+1792>b@0", "2048+452>c@0"]);
    expect(planned(200, 100)).toEqual(["200+56>a@200", "256+44>b@0"]);
    expect(planned(2048, 256)).toEqual(["2048+256>c@0"]);
  });

  test("puts every byte where the slab has it", () => {
    for (
      const { sourceOffset, target } of copiesOf({ buffer: slab, offset: 512, byteLength: 1900 }, shadow)
    ) {
      const index = shadow.buffers.indexOf(target.buffer);
      expect((starts[index] as number) + target.offset).toBe(sourceOffset);
    }
  });
});
