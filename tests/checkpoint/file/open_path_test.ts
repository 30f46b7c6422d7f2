import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { openCheckpoint } from "../../../src/checkpoint/file/open_path.ts";
import { saveSafetensors } from "../../../src/exchange/safetensors/save_safetensors.ts";
import { FileStorage } from "../../../src/storage/file_storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { thrownBy } from "../../helpers/thrown.ts";

let folder = "";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "cairn-open-"));
  const storage = await FileStorage.open(folder);
  await saveSafetensors(storage, "m.safetensors", { a: HostTensor.from([1, 2]) });
  const engine = await FileEngine.open(folder);
  await engine.create("100");
  await engine.save({ state: { epoch: 3 } });
  await engine.commit("100");
});

afterAll(() => rmSync(folder, { recursive: true }));

/** The code and the message of what opening a file says, with the folder left out. */
async function refusal(name: string): Promise<[string, string]> {
  const { code, message } = await thrownBy(() => openCheckpoint(join(folder, name)));
  return [String(code), message.replaceAll(`${folder}/`, "")];
}

describe("a path that leads to no checkpoint", () => {
  test("is opened with and without its ending where it leads to one", async () => {
    for (const name of ["100", "100.cairn"]) {
      const checkpoint = await openCheckpoint(join(folder, name));
      expect(checkpoint.tag).toBe("100");
      await checkpoint.close();
    }
  });

  test("names the function that opens a file of another format", async () => {
    expect(await refusal("m.safetensors")).toEqual([
      "not_a_container",
      'Cannot open "m.safetensors": it is a safetensors file; open it with openSafetensors of @cairn-ml/cairn/exchange',
    ]);
    renameSync(join(folder, "m.safetensors"), join(folder, "renamed.cairn"));
    const [code, message] = await refusal("renamed.cairn");
    expect(code).toBe("not_a_container");
    expect(message).toContain("open it with openSafetensors of @cairn-ml/cairn/exchange");
  });

  test("says what a folder, a checkpoint under another name, and bytes of no kind are", async () => {
    mkdirSync(join(folder, "run"));
    expect(await refusal("run")).toEqual([
      "not_found",
      'Cannot open "run": it is a directory; getCheckpoint() gives the path of the newest checkpoint in one',
    ]);
    renameSync(join(folder, "100.cairn"), join(folder, "100.bak"));
    expect(await refusal("100.bak")).toEqual([
      "not_a_container",
      `Cannot open "100.bak": a checkpoint's name ends with ".cairn"; rename it to "100.bak.cairn"`,
    ]);
    writeFileSync(join(folder, "noise"), Uint8Array.of(7, 1, 200, 3));
    expect(await refusal("noise")).toEqual([
      "not_a_container",
      'Cannot open "noise": it is no .cairn file',
    ]);
  });

  test("that leads nowhere is not found, under the name that a checkpoint would have", async () => {
    const [code, message] = await refusal("none");
    expect(code).toBe("not_found");
    expect(message).toContain("none.cairn");
  });
});
