import { describe, expect, test } from "bun:test";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { bytesSource } from "../../src/container/source.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { both, chunk, CHUNKS, codeOf, type Edit, goodFile, header, tensor, trailer } from "./file_edits.ts";
import { forged, poke } from "./forge.ts";
import { FILE_ID, sampleManifest, sampleTensors } from "./samples.ts";

const file = await goodFile();

/** Several numbers of the trailer: the helper for one of them replaces the edit before. */
function trailers(...numbers: [at: number, width: 4 | 8, value: number | bigint][]): Edit {
  return (parts) => {
    parts.editTrailer = (view) => {
      for (const [at, width, value] of numbers) poke(new Uint8Array(view.buffer), at, width, value);
    };
  };
}

const [TABLE_SUM, CHUNKS_SUM, REFERENCE_SUM] = [16, 40, 64];
const [FILE_LENGTH, RAW_LENGTH] = [96, 104];
const HUGE = 2n ** 60n;
const UNKNOWN = 99;

/** Files with more than one thing wrong: the code is that of the check that FORMAT.md puts first. */
const CASES: [name: string, code: string, edit: Edit][] = [
  [
    "a version before the data's start",
    "unsupported",
    both(header(8, 4, 2), header(20, 4, 0)),
  ],
  [
    "a file length above 2^53 before a section above 2^53",
    "truncated",
    trailers([FILE_LENGTH, 8, HUGE], [0, 8, HUGE]),
  ],
  [
    "a section above 2^53 before the checksum of the reference table",
    "invalid_container",
    trailers([8, 8, HUGE], [REFERENCE_SUM, 4, 1]),
  ],
  [
    "the checksum of the reference table before what is inside of the tensor table",
    "checksum_mismatch",
    both(tensor("dtype", 0, 1, UNKNOWN), trailer(REFERENCE_SUM, 4, 1)),
  ],
  [
    "the checksum of the tensor table before that of the chunk table",
    "checksum_mismatch",
    trailers([TABLE_SUM, 4, 1], [CHUNKS_SUM, 4, 1]),
  ],
  [
    "an unknown dtype before a start above 2^53 of an earlier tensor",
    "unsupported",
    both(tensor("rawOffset", 0, 8, HUGE), tensor("dtype", 3, 1, UNKNOWN)),
  ],
  [
    "an unknown dtype before an invalid name",
    "unsupported",
    both(tensor("dtype", 4, 1, UNKNOWN), tensor("nameLength", 0, 2, 0)),
  ],
  [
    "the tensor table before the length of the raw space",
    "unsupported",
    both(tensor("dtype", 4, 1, UNKNOWN), trailer(RAW_LENGTH, 8, HUGE)),
  ],
  [
    "the length of the raw space before the chunk table",
    "invalid_container",
    both(chunk("codec", 0, 1, UNKNOWN), trailer(RAW_LENGTH, 8, HUGE)),
  ],
  [
    "a raw length of the first chunk before an unknown codec of the second",
    "invalid_container",
    both(chunk("rawLength", 0, 4, 100), chunk("codec", 1, 1, UNKNOWN)),
  ],
  [
    "an unknown codec of the first chunk before a raw length of the second",
    "unsupported",
    both(chunk("codec", 0, 1, UNKNOWN), chunk("rawLength", 1, 4, 100)),
  ],
  [
    "an unknown codec before the raw length of the same chunk",
    "unsupported",
    both(chunk("codec", 1, 1, UNKNOWN), chunk("rawLength", 1, 4, 100)),
  ],
  [
    "an offset above 2^53 of the first chunk before an unknown dtype of the second",
    "invalid_container",
    both(chunk("storedOffset", 0, 8, HUGE), chunk("dtype", 1, 1, UNKNOWN)),
  ],
  [
    "each chunk before the rules for all of them",
    "unsupported",
    both(chunk("dtype", 0, 1, 9), chunk("codec", CHUNKS - 1, 1, UNKNOWN)),
  ],
  [
    "the chunk table before the manifest",
    "unsupported",
    both(chunk("codec", 0, 1, UNKNOWN), (parts) => void (parts.manifest = new Uint8Array(0))),
  ],
];

describe("of several faults, the error names the one whose check comes first:", () => {
  for (const [name, code, edit] of CASES) {
    test(name, async () => expect(await codeOf(forged(file, edit))).toBe(code));
  }
});

describe("what a manifest says of its run", () => {
  test("is any text: an empty run id, a long one, and one that could be in no file's name", async () => {
    for (const runId of ["", "0123456789abcdef0123456789abcdef", "run 7/../Größe", "x".repeat(5000)]) {
      const manifest = { ...sampleManifest(), provenance: { runId } };
      const bytes = await writeContainer({
        tensors: sampleTensors(),
        manifest,
        fileId: FILE_ID,
        codec: "raw",
        chunkBytes: 256,
      });
      const reader = await ContainerReader.open(bytesSource(bytes));
      expect(reader.manifest.provenance.runId).toBe(runId);
    }
  });

  test("has times with seconds, a T and a Z or an offset, of days that exist", async () => {
    const codeOfTime = async (createdAt: string): Promise<string> => {
      const text =
        `{"kind":"tensors","state":null,"metrics":{},"provenance":{"createdAt":"${createdAt}"},"user":null}`;
      return await codeOf(forged(file, (parts) => void (parts.manifest = new TextEncoder().encode(text))));
    };
    for (
      const time of ["2026-01-01T00:00:00Z", "2024-02-29T23:59:59.123456789Z", "2026-01-01T00:00:00-23:59"]
    ) expect([time, await codeOfTime(time)]).toEqual([time, "accepted"]);
    for (
      const time of [
        "2026-01-01T00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T23:59:60Z",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-01-01t00:00:00z",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00.Z",
      ]
    ) expect([time, await codeOfTime(time)]).toEqual([time, "invalid_container"]);
  });
});
