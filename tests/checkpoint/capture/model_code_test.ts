import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { loadModelCode } from "../../../src/checkpoint/file/load_model_code.ts";
import { asModelCode } from "../../../src/checkpoint/capture/model_code.ts";
import { readModelCode } from "../../../src/checkpoint/file/read_model_code.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import { codeOf, errorOf, loadState, memoryEngine } from "../fixtures.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-code-"));

afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

/** A file with this content, and its path. */
function fileWith(name: string, content: string | Uint8Array): string {
  const file = path.join(root, name);
  fs.writeFileSync(file, content);
  return file;
}

const SOURCE = '\uFEFFimport { linear } from "./layers.ts";\r\n\n// Ünïcode: 模型 \u2028 "quotes" \\ \0\n' +
  "globalThis.wasRun = true;\nthrow new Error(`run`);\n";

describe("the model's code", () => {
  test("NN-09 is in the checkpoint as it was, with its imports, under the file's name without a path", async () => {
    const file = fileWith("model.ts", SOURCE);
    const directory = path.join(root, "runs");
    for (const [step, module] of [file, pathToFileURL(file), pathToFileURL(file).href].entries()) {
      const modelCode = await readModelCode(module);
      expect(modelCode).toEqual({ module: "model.ts", source: SOURCE });
      const snapshot = new Snapshot(directory, { epoch: step }, { modelCode });
      await (await snapshot.save(step)).wait();
      await snapshot.close();
      const saved = path.join(directory, `${step}.cairn`);
      expect(await loadModelCode(saved)).toEqual({ module: "model.ts", source: SOURCE });
      expect(fs.readFileSync(saved).includes(root)).toBe(false);
    }
    // What the text says was never done.
    expect("wasRun" in globalThis).toBe(false);
  });

  test("NN-09 a module can ask for its own", async () => {
    const { module, source } = await readModelCode(import.meta.url);
    expect(module).toBe(path.basename(fileURLToPath(import.meta.url)));
    expect(source).toContain(
      'import { readModelCode } from "../../../src/checkpoint/file/read_model_code.ts";',
    );
  });

  test("NN-09 what goes wrong is a warning, and checkpoints are saved without it", async () => {
    const large = fileWith("large.ts", "x".repeat((1 << 20) + 1));
    const binary = fileWith("binary.ts", new Uint8Array([0x61, 0xff, 0x62]));
    const cases: [string, string][] = [
      [path.join(root, "absent.ts"), "not_found"],
      [root, "storage_failed"],
      [large, "limit_exceeded"],
      [binary, "invalid_file"],
      ["https://example.com/model.ts", "unsupported"],
    ];
    for (const [module, code] of cases) {
      const warnings: string[] = [];
      const modelCode = await readModelCode(module, (message) => warnings.push(message));
      expect(modelCode).toBeUndefined();
      const error = await errorOf(readModelCode(module));
      expect([module, error.code]).toEqual([module, code]);
      expect(warnings).toEqual([`Checkpoints are saved without the model's code: ${error.message}`]);
      const engine = await memoryEngine();
      const snapshot = new Snapshot(engine, { epoch: 5 }, modelCode === undefined ? {} : { modelCode });
      await (await snapshot.save(1)).wait();
      expect(await loadState(engine, 1)).toMatchObject({ epoch: 5 });
    }
  });

  test("NN-09 a checkpoint without code says so, and one that is not there, too", async () => {
    const snapshot = new Snapshot(path.join(root, "without"), { epoch: 1 });
    await (await snapshot.save(1)).wait();
    await snapshot.close();
    const error = await errorOf(loadModelCode(path.join(root, "without", "1")));
    expect(error.code).toBe("not_found");
    expect(error.message).toContain("was saved without the model's code");
    expect(await codeOf(loadModelCode(path.join(root, "without", "2")))).toBe("not_found");
  });

  test("NN-09 another value in the place of the code is not taken for code", () => {
    for (const value of [undefined, null, "code", 5, [], {}, { module: "a" }, { module: 1, source: "b" }]) {
      expect(asModelCode(value)).toBeUndefined();
    }
    expect(asModelCode({ module: "a", source: "b", other: 1 })).toEqual({ module: "a", source: "b" });
  });
});
