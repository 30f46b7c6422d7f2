import { describe, expect, test } from "bun:test";
import { copiesOf } from "../../../src/checkpoint/capture/shadow.ts";

/** A buffer as far as planning copies looks at it. */
function buffer(label: string, size: number): GPUBuffer {
  return { label, size } as unknown as GPUBuffer;
}

const slab = buffer("slab", 2500);
const shadow = {
  buffers: [buffer("a", 1024), buffer("b", 1024), buffer("c", 452)],
  bufferBytes: 1024,
};

/** Copies as "from+size>buffer@offset". */
function planned(offset: number, byteLength: number): string[] {
  return copiesOf({ buffer: slab, offset, byteLength }, shadow).map(({ sourceOffset, target }) =>
    `${sourceOffset}+${target.size}>${target.buffer.label}@${target.offset}`
  );
}

describe("copiesOf", () => {
  test("cuts a range where one buffer of the shadow ends and the next begins", () => {
    expect(planned(0, 2500)).toEqual(["0+1024>a@0", "1024+1024>b@0", "2048+452>c@0"]);
    expect(planned(1000, 100)).toEqual(["1000+24>a@1000", "1024+76>b@0"]);
    expect(planned(2048, 256)).toEqual(["2048+256>c@0"]);
  });

  test("puts every byte where the slab has it", () => {
    for (
      const { sourceOffset, target } of copiesOf({ buffer: slab, offset: 512, byteLength: 1900 }, shadow)
    ) {
      const index = shadow.buffers.indexOf(target.buffer);
      expect(index * 1024 + target.offset).toBe(sourceOffset);
    }
  });
});
