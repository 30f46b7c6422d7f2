import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { pageText } from "../../src/page/server/page_text.ts";
import { runCommandLine } from "../../src/cli/command_line.ts";
import { capture, run } from "./captured.ts";
import { writeSample } from "./sample_files.ts";

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "cairn-cli-"));
  await writeSample(directory, "model.cairn");
});
afterAll(async () => await rm(directory, { recursive: true, force: true }));

/** Runs `cairn serve` until `use` is done with the address that it prints. */
async function serving(
  args: readonly string[],
  use: (url: string, text: string) => Promise<void>,
): Promise<number> {
  const stop = new AbortController();
  const said = Promise.withResolvers<string>();
  const { output } = capture({ signal: stop.signal, write: said.resolve, note: said.resolve });
  const ended = runCommandLine(["serve", ...args], output);
  const text = await said.promise;
  await use(/http:\/\/[^\s"]+/.exec(text)?.[0] ?? text, text);
  stop.abort();
  return await ended;
}

describe("cairn serve", () => {
  test("prints the address of a directory, serves the page there, and ends when it is told to", async () => {
    let address = "";
    const code = await serving([directory], async (url, text) => {
      address = url;
      expect(text).toBe(`${directory} is shown at ${url}\nCtrl-C ends it.\n`);
      expect(await (await fetch(url)).text()).toBe(pageText());
      const { files } = await (await fetch(`${url}list`)).json();
      expect(files.map(({ path }: { path: string }) => path)).toEqual(["model.cairn"]);
    });
    expect(code).toBe(0);
    await expect(fetch(address)).rejects.toThrow();
  });

  test("serves one file alone, and prints its address for programs", async () => {
    const code = await serving([join(directory, "model.cairn"), "--json"], async (url, text) => {
      expect(JSON.parse(text)).toEqual({ url });
      expect((await (await fetch(`${url}list`)).json()).file).toBe("model.cairn");
    });
    expect(code).toBe(0);
  });

  test("saves the page as a file, in the place of an older one", async () => {
    const file = join(directory, "page.html");
    for (const json of [[], ["--json"]]) {
      const { code, text } = await run(["serve", "--save", file, ...json]);
      expect([code, text.includes(file)]).toEqual([0, true]);
      expect(await readFile(file, "utf8")).toBe(pageText());
    }
  });

  test("what cannot be served is said in a sentence, with exit code 2", async () => {
    const missing = join(directory, "missing");
    expect(await run(["serve", missing])).toMatchObject({
      code: 2,
      notes: expect.stringContaining(`Cannot serve ${missing}: there is no such file or directory`),
    });
    for (const port of ["70000", "-1", "http"]) {
      expect(await run(["serve", directory, `--port=${port}`])).toMatchObject({
        code: 2,
        notes: expect.stringContaining("expected a number from 0 to 65535"),
      });
    }
  });
});
