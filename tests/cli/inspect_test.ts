import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { expectGolden, run } from "./captured.ts";
import { serveFiles } from "./file_server.ts";
import { modelSample, sampleBytes, saveRun, wave, withDamage, writeSample } from "./sample_files.ts";

const foreign = fileURLToPath(new URL("../exchange/files/", import.meta.url));
let directory: string;
let file: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "cairn-cli-"));
  file = await writeSample(directory, "model.cairn");
});
afterAll(async () => await rm(directory, { recursive: true, force: true }));

async function golden(name: string, args: readonly string[]): Promise<void> {
  expectGolden(name, await run(args), { [directory]: "DIR", [foreign]: "FOREIGN/" });
}

describe("cairn inspect", () => {
  test("shows tensors, state, metrics and provenance of a checkpoint", async () => {
    await golden("inspect", ["inspect", file]);
    await golden("inspect_json", ["inspect", file, "--json"]);
  });

  test("shows what the elements of tensors are like", async () => {
    await golden("inspect_stats", ["inspect", file, "--stats"]);
    await golden("inspect_stats_json", ["inspect", file, "--stats", "--include", "model.1.*", "--json"]);
  });

  test("shows files of other formats", async () => {
    await golden("inspect_safetensors", ["inspect", `${foreign}tied.safetensors`, "--stats"]);
    await golden("inspect_npz", ["inspect", `${foreign}numpy.npz`]);
    await golden("inspect_torch", ["inspect", `${foreign}torch_2.13.pt`]);
    await golden("inspect_torch_json", ["inspect", `${foreign}torch_2.13.pt`, "--json"]);
    await golden("inspect_npy", ["inspect", `${foreign}version_1.npy`, "--json"]);
  });

  test("takes a directory for its newest checkpoint, and a path without .cairn", async () => {
    const run1 = join(directory, "run");
    await saveRun(run1, [{ step: 100, loss: 1 }, { step: 200, loss: 0.5 }]);
    const { text } = await run(["inspect", run1]);
    expect(text).toContain(`${run1}/200.cairn\n`);
    expect((await run(["inspect", join(run1, "100")])).text).toContain("step 100");
  });

  test("says what is wrong with a damaged file, with an exit code of its own", async () => {
    const bytes = await sampleBytes();
    const damaged = join(directory, "damaged.cairn");
    await writeFile(damaged, withDamage(bytes, bytes.byteLength - 10));
    await golden("inspect_damaged", ["inspect", damaged]);
    await golden("inspect_damaged_json", ["inspect", damaged, "--json"]);
    const other = join(directory, "page.cairn");
    await writeFile(other, "<!doctype html><title>Log in</title>");
    await golden("inspect_html", ["inspect", other]);
    await golden("inspect_nothing", ["inspect", join(directory, "none")]);
  });

  test("reads of a remote file its tables alone, by two requests", async () => {
    const tensors = {
      big: HostTensor.from(wave(1 << 20), [1 << 20]),
      small: HostTensor.from(wave(64), [64]),
    };
    const bytes = await sampleBytes({ tensors, codec: "raw" });
    const server = await serveFiles({ "a model.cairn": bytes });
    try {
      const { code, text } = await run(["inspect", `${server.address}/a%20model.cairn`]);
      expect([code, text.includes("big")]).toEqual([0, true]);
      expect([server.requests.length, server.sentBytes() < bytes.byteLength / 20]).toEqual([2, true]);
      // With statistics of one tensor, that tensor and no other.
      const args = ["inspect", `${server.address}/a%20model.cairn`, "--stats", "--include", "small"];
      const before = server.sentBytes();
      expect((await run(args)).code).toBe(0);
      expect(server.sentBytes() - before < bytes.byteLength / 20).toBe(true);
    } finally {
      await server.close();
    }
  });

  test("takes no power over a terminal from a file", async () => {
    const name = "\u001b]0;title\u0007\u202eevil\nnext";
    const path = await writeSample(directory, "evil.cairn", {
      ...modelSample(),
      metrics: { [name]: 1 },
      state: { [name]: name, deep: { [name]: [name] } },
    });
    const header = JSON.stringify({
      __metadata__: { [name]: name },
      [name]: { dtype: "F32", shape: [1], data_offsets: [0, 4] },
    });
    const text = new TextEncoder().encode(header);
    const other = join(directory, "evil.safetensors");
    await writeFile(other, [Uint8Array.of(text.byteLength, 0, 0, 0, 0, 0, 0, 0), text, new Uint8Array(4)]);
    for (const file of [path, other]) {
      for (const args of [[], ["--json"], ["--stats"]]) {
        const { code, text } = await run(["inspect", file, ...args]);
        expect(code).toBe(0);
        // deno-lint-ignore no-control-regex
        expect(text.replaceAll("\n", "").match(/[\x00-\x1f\x7f-\x9f\u202e]/)).toBe(null);
        expect([text.includes("evil"), text.includes("evil\nnext")]).toEqual([true, false]);
      }
    }
  });

  test("has styles in a terminal only", async () => {
    const plain = await run(["inspect", file]);
    const styled = await run(["inspect", file], { hasStyles: true });
    // deno-lint-ignore no-control-regex
    expect(styled.text.replaceAll(/\x1b\[\d+m/g, "")).toBe(plain.text);
    expect(styled.text).not.toBe(plain.text);
  });

  test("refuses a pattern that no tensor has", async () => {
    await golden("inspect_no_such_tensor", ["inspect", file, "--include", "modle.*"]);
  });
});
