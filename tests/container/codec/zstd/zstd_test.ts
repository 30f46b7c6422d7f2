import { describe, expect, test } from "bun:test";
import { zstdCodec } from "../../../../src/container/codec/zstd/zstd.ts";
import { checkFrame } from "../../../../src/container/codec/zstd/zstd_frame.ts";
import { canCompressZstd, unzstdBytes, zstdBytes } from "../../../../src/container/codec/zstd/zstd_stream.ts";
import { thrownBy } from "../../../helpers/thrown.ts";
import { asBytes, bytesOf, withoutBuiltins } from "../../samples.ts";

const text = Uint8Array.from(
  { length: 5000 },
  (_, i) => "a pile of stones ".charCodeAt((i * 7) % 17) + (i >> 10),
);
const frame = zstdBytes(text) ?? new Uint8Array(0);

describe("a zstd frame", () => {
  test("says how much it holds, and is read natively and in JavaScript alike", () => {
    expect(canCompressZstd()).toBe(true);
    expect(frame.byteLength).toBeLessThan(text.byteLength / 4);
    expect(Buffer.compare(unzstdBytes(frame, text.byteLength), text)).toBe(0);
    expect(Buffer.compare(withoutBuiltins(() => unzstdBytes(frame, text.byteLength)), text)).toBe(0);
  });

  test("cannot be made where the runtime has no zstd", () => {
    expect(withoutBuiltins(canCompressZstd)).toBe(false);
    expect(withoutBuiltins(() => zstdBytes(text))).toBeUndefined();
  });

  test("is refused when it is cut anywhere, which the decoders of Bun and Deno do not notice", async () => {
    for (let length = 0; length < frame.byteLength; length++) {
      const cut = frame.subarray(0, length);
      expect((await thrownBy(() => unzstdBytes(cut, text.byteLength))).code).toBe("invalid_container");
    }
  });

  test("is refused with anything behind it, another length, a checksum or a dictionary", async () => {
    const edits: [string, Uint8Array, number][] = [
      ["a byte more", Uint8Array.of(...frame, 0), text.byteLength],
      ["a second frame", Uint8Array.of(...frame, ...frame), text.byteLength],
      ["a length too small", frame, text.byteLength - 1],
      ["a length too large", frame, text.byteLength + 1],
      ["a checksum flag", frame.with(4, (frame[4] as number) | 4), text.byteLength],
      ["a dictionary flag", frame.with(4, (frame[4] as number) | 1), text.byteLength],
      ["a reserved bit", frame.with(4, (frame[4] as number) | 8), text.byteLength],
      ["another magic", frame.with(0, 0x29), text.byteLength],
    ];
    for (const [what, bytes, length] of edits) {
      const error = await thrownBy(() => checkFrame(bytes, length));
      if (error.code !== "invalid_container") throw new Error(what, { cause: error });
    }
  });

  test("that promises more than there may be is refused before anything is decoded", async () => {
    // A frame of one segment, 4 bytes of content size, and blocks that repeat one byte 128 KiB times.
    const bomb = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 1, 2, 0, 0x10, 0, 3, 0, 0x10, 0);
    expect((await thrownBy(() => unzstdBytes(bomb, 1 << 18))).message).toMatch(/says it holds 16777216/);
    bomb.set([0, 0, 1, 0], 5);
    expect((await thrownBy(() => unzstdBytes(bomb, 1 << 16))).message).toMatch(/more than 65536/);
  });
});

describe("codec zstd", () => {
  test("finds repetitions that an entropy code does not see", () => {
    const ids = asBytes(Uint32Array.from({ length: 4096 }, (_, i) => (i * 37) % 300));
    const stored = zstdCodec.encode(ids, "u32");
    if (stored === undefined) throw new Error("did not pay");
    expect(stored.byteLength).toBeLessThan(ids.byteLength / 10);
    expect(Buffer.compare(zstdCodec.decode(stored, ids.byteLength, "u32"), ids)).toBe(0);
  });

  test("leaves noise alone", () => {
    expect(zstdCodec.encode(bytesOf(1 << 16, 1), "f32")).toBeUndefined();
  });

  test("refuses bytes behind its planes that are no padding", async () => {
    const zeros = new Uint8Array(1 << 20);
    const stored = zstdCodec.encode(zeros, "u8");
    if (stored === undefined) throw new Error("did not pay");
    expect(stored.byteLength).toBe(1024);
    for (const bytes of [stored.with(1023, 1), stored.subarray(0, 1023), Uint8Array.of(...stored, 0)]) {
      expect((await thrownBy(() => zstdCodec.decode(bytes, 1 << 20, "u8"))).code).toBe("invalid_container");
    }
  });
});
