import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { expectGolden, run } from "./captured.ts";
import { serveFiles } from "./file_server.ts";
import { modelSample, sampleBytes, saveRun, withDamage, writeSample } from "./sample_files.ts";

const foreign = fileURLToPath(new URL("../exchange/files/", import.meta.url));
/** Where the chunks of a container begin. */
const DATA_OFFSET = 4096;
let directory: string;

beforeAll(async () => directory = await mkdtemp(join(tmpdir(), "cairn-cli-")));
afterAll(async () => await rm(directory, { recursive: true, force: true }));

async function golden(
  name: string,
  args: readonly string[],
  more: Record<string, string> = {},
): Promise<void> {
  expectGolden(name, await run(args), { [directory]: "DIR", [foreign]: "FOREIGN/", ...more });
}

describe("cairn verify", () => {
  test("says that sound files are sound, and of which only the structure could be checked", async () => {
    const file = await writeSample(directory, "model.cairn");
    const paths = [file, `${foreign}tied.safetensors`, `${foreign}numpy.npz`, `${foreign}torch_1.13.pt`];
    await golden("verify", ["verify", ...paths]);
    await golden("verify_json", ["verify", ...paths, "--json"]);
  });

  test("names each damaged tensor, and exits with 1", async () => {
    const damaged = join(directory, "damaged.cairn");
    await writeFile(damaged, withDamage(await sampleBytes(), DATA_OFFSET + 10));
    await golden("verify_damaged", ["verify", damaged]);
    await golden("verify_damaged_json", ["verify", damaged, "--json"]);
  });

  test("looks at every file of a directory, the damaged ones too", async () => {
    const place = join(directory, "run");
    await saveRun(place, [{ step: 1, loss: 1 }, { step: 2, loss: 1 }]);
    const bytes = await readFile(join(place, "1.cairn"));
    await writeFile(join(place, "1.cairn"), bytes.subarray(0, 5000));
    await writeFile(join(place, "3.cairn"), "");
    await golden("verify_directory", ["verify", place]);
  });

  test("finds damage in a zip file: in the header of an array, and by the checksum of its entry", async () => {
    const bytes = new Uint8Array(await readFile(`${foreign}numpy.npz`));
    const damaged = join(directory, "damaged.npz");
    // The array "u8" has its header at 222, and "i8" its one element before 559.
    await writeFile(damaged, withDamage(withDamage(bytes, 300), 559 - 1));
    await golden("verify_npz", ["verify", damaged]);
    expect((await run(["inspect", damaged])).code).toBe(1);
  });

  test("verifies a remote file, and finds its damage", async () => {
    const good = await sampleBytes(modelSample(3));
    const server = await serveFiles({ "good.cairn": good, "bad.cairn": withDamage(good, DATA_OFFSET) });
    try {
      const paths = ["good", "bad", "none"].map((name) => `${server.address}/${name}.cairn`);
      await golden("verify_remote", ["verify", ...paths], { [server.address]: "http://HOST" });
    } finally {
      await server.close();
    }
  });

  test("verifies a remote checkpoint of several files, whose parts lie beside it", async () => {
    const trainer = fileURLToPath(new URL("../golden/trainer/", import.meta.url));
    const name = "a_file_for_each_component.cairn";
    const parts = (await readdir(join(trainer, "parts"))).map((part) => `parts/${part}`);
    const files = await Promise.all(
      [name, ...parts].map(async (path) =>
        [path, new Uint8Array(await readFile(join(trainer, path)))] as const
      ),
    );
    const server = await serveFiles(Object.fromEntries(files));
    try {
      const { code, text } = await run(["verify", `${server.address}/${name}`]);
      expect([code, text]).toEqual([0, `ok         ${server.address}/${name}  20.7 kB, 14 tensors\n`]);
      const asked = new Set(server.requests.map((request) => request.split(" ")[0]));
      expect([parts.length, asked.size]).toEqual([3, 4]);
    } finally {
      await server.close();
    }
  });

  test("exits with 2 for what is not there", async () => {
    await golden("verify_nothing", ["verify", join(directory, "none.cairn")]);
  });

  test("shows how far it is in a terminal, and takes that away again", async () => {
    const file = await writeSample(directory, "progress.cairn");
    const { notes } = await run(["verify", file], { isTerminal: true });
    expect(notes).toContain("100 %");
    expect(notes.endsWith("\r\x1b[K")).toBe(true);
  });
});
