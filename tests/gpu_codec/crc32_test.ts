import { describe, expect, test } from "bun:test";
import { crc32 as crc32OnHost } from "../../src/base/crc32/crc32.ts";
import { crc32, crc32Blocks, crc32Sums, crc32Tables, encodeCrc32Span } from "../../src/gpu_codec/crc32.ts";
import { bytesOf } from "../container/samples.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../helpers/run_dispatch.ts";

/** Around the sizes of rows and blocks. */
const LENGTHS = [4, 8, 252, 1020, 1024, 1028, 32_764, 32_768, 32_772, 100_000];

describe("crc32 kernel", () => {
  gpuTest("gives the checksums of chunks of all lengths", async (gpu) => {
    for (const chunkBytes of LENGTHS) {
      for (const byteLength of [chunkBytes, chunkBytes + 4, 2 * chunkBytes]) {
        const bytes = bytesOf(byteLength, chunkBytes);
        const span = { byteLength, chunkBytes };
        const parts = new Uint32Array(crc32Blocks(span));
        const source = new Uint32Array(bytes.buffer);
        const bindings = { span: encodeCrc32Span(span), source, tables: crc32Tables(), parts };
        const [result] = await runDispatch(gpu, crc32<HostArray>(bindings, span), [parts]);
        const expected: number[] = [];
        for (let at = 0; at < byteLength; at += chunkBytes) {
          expected.push(crc32OnHost(bytes.subarray(at, at + chunkBytes)));
        }
        expect(crc32Sums(result, span)).toEqual(expected);
      }
    }
  });

  test("refuses lengths that are no words", () => {
    expect(() => crc32Blocks({ byteLength: 6, chunkBytes: 8 })).toThrow("multiple of 4");
    expect(() => crc32Blocks({ byteLength: 8, chunkBytes: 0 })).toThrow("multiple of 4");
  });
});
