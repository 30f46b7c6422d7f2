import { describe, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { goBack } from "../../examples/digits/go_back.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";

describe("the demo with --goto", () => {
  gpuTest(
    "XT-03 the demo goes back to a step of real training, and on from there, with equal bits",
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "cairn-go-back-"));
      try {
        expect(await goBack(63, 3, directory)).toEqual([]);
        expect(await thrownBy(() => goBack(0, 3, directory))).toBeInstanceOf(RangeError);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
  );
});
