import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { madeUpContents } from "../../src/cli/bench/contents.ts";
import { median } from "../../src/cli/bench/disk_ceilings.ts";
import { checkText } from "../../src/cli/bench/print_bench.ts";
import { capture, expectGolden, run } from "./captured.ts";
import { modelSample, writeSample } from "./sample_files.ts";

let directory: string;

beforeAll(async () => directory = await mkdtemp(join(tmpdir(), "cairn-cli-")));
afterAll(async () => await rm(directory, { recursive: true, force: true }));

interface Mode {
  readonly mode: string;
  readonly [figure: string]: unknown;
}

interface Bench {
  readonly contents: { readonly tensors: number; readonly byteLength: number };
  readonly disk: Readonly<Record<string, number>>;
  readonly modes: readonly Mode[];
  readonly stall: Readonly<Record<string, unknown>>;
}

/** Whether all figures are numbers above 0. */
function areMeasured(figures: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(figures).every(([name, value]) =>
    name === "mode" || (typeof value === "number" && value > 0)
  );
}

function checkFigures({ disk, modes, stall }: Bench): void {
  expect(Object.keys(disk)).toEqual(["writeGBs", "readGBs", "copyGBs"]);
  expect(modes.map(({ mode }) => mode)).toEqual(["fast", "balanced", "small"]);
  expect([disk, ...modes].map(areMeasured)).toEqual([true, true, true, true]);
  // One or the other, by whether this machine has an adapter.
  expect(Object.keys(stall).length > 0).toBe(true);
  expect(typeof stall.notMeasured === "string" || areMeasured({ a: stall.stallMs, b: stall.durableMs })).toBe(
    true,
  );
}

describe("cairn bench", () => {
  test("measures disk, saves and loads, prints one line of JSON, and leaves nothing on the disk", async () => {
    const { code, text } = await run(["bench", directory, "--size", "2MB", "--rounds", "1", "--json"]);
    expect([code, text.split("\n").length]).toEqual([0, 2]);
    const found = JSON.parse(text) as Bench;
    checkFigures(found);
    expect(found.contents).toEqual(
      {
        what: "made-up weights, f32 of a normal distribution",
        tensors: 1,
        byteLength: 2_000_000,
      } as unknown as Bench["contents"],
    );
    expect(await readdir(directory)).toEqual([]);
  });

  test("takes the tensors of a file, and prints for people", async () => {
    const file = await writeSample(join(directory, "models"), "model.cairn", modelSample());
    const { code, text } = await run(["bench", directory, "--file", file, "--rounds", "1"]);
    expect(code).toBe(0);
    expect(text).toContain(`of ${file}, 1 round\n`);
    expect(text.match(/^(mode|fast|balanced|small) +\S/gm)?.length).toBe(4);
  });

  test("says what the machine has, or what is missing and how to install it", async () => {
    const { code, text } = await run(["bench", "--check", "--json"]);
    const found = JSON.parse(text) as {
      gpu?: { limits: Record<string, number> };
      missing: string[];
      runtime: string;
    };
    expect(found.runtime).toMatch(/^(bun|deno|node) \d+\./);
    if (found.gpu === undefined) expect([code, found.missing.length > 0]).toEqual([2, true]);
    else expect([code, (found.gpu.limits.maxBufferSize ?? 0) > 0]).toEqual([0, true]);
  });

  test("says what is wrong with how it is called", async () => {
    expectGolden("bench_size", await run(["bench", directory, "--size", "much"]));
    expectGolden("bench_rounds", await run(["bench", directory, "--rounds", "0"]));
    expectGolden("bench_none", await run(["bench", join(directory, "none"), "--size", "1MB"]), {
      [directory]: "DIR",
    });
  });
});

describe("what bench prints of a machine", () => {
  const machine = { cairn: "0.1.0", runtime: "bun 1.4.5", platform: "linux" };

  test("is its adapter and limits, or what to install", () => {
    const { output } = capture();
    const gpu = {
      adapter: "an adapter",
      provider: "dawn",
      isCpuAdapter: false,
      limits: { maxBufferSize: 268435456 },
      features: ["shader-f16"],
    };
    const text = checkText({ ...machine, gpu, missing: [] }, output) +
      checkText({ ...machine, missing: ["Cannot find WebGPU: run `bun add webgpu`"] }, output);
    expectGolden("bench_check", { code: 0, text, notes: "" });
  });
});

describe("median", () => {
  test("leaves out the first round, which pays for what is done once", () => {
    expect([median([9, 1, 3, 2]), median([9, 1, 2]), median([5])]).toEqual([2, 1.5, 5]);
  });
});

describe("madeUpContents", () => {
  test("has as many bytes as asked for, of a normal distribution, the same every time", () => {
    const { tensors, byteLength } = madeUpContents(5_000_000);
    expect([byteLength, Object.keys(tensors).length]).toEqual([5_000_000, 2]);
    const values = [...tensors["layer.0"]?.toArray() as Float32Array];
    const spread = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    expect(Math.abs(spread - 0.02) < 0.001).toBe(true);
    expect(madeUpContents(5_000_000).tensors["layer.1"]?.equals(tensors["layer.1"] as never)).toBe(true);
  });
});
