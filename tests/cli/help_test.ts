import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { describe, expect, test } from "bun:test";
import { VERSION } from "../../src/container/version.ts";
import { VERBS } from "../../src/cli/command_line.ts";
import { expectGolden, run } from "./captured.ts";

const page = new URL("../../docs/cli.md", import.meta.url);
const manifest = new URL("../../package.json", import.meta.url);

/** The block of the page that has the help of a verb. */
function block(name: string): RegExp {
  return new RegExp(`(^\`\`\`text\\ncairn ${name} --help\\n\\n)([\\s\\S]*?)(^\`\`\`$)`, "m");
}

describe("the help of cairn", () => {
  for (const verb of VERBS) {
    test(`docs/cli.md has what cairn ${verb.name} --help prints`, async () => {
      const { code, text } = await run([verb.name, "--help"]);
      if (process.env.CAIRN_GOLDEN === "write") {
        const before = readFileSync(page, "utf8");
        writeFileSync(
          page,
          before.replace(block(verb.name), (_, start: string, __, end: string) => start + text + end),
        );
      }
      expect([code, block(verb.name).exec(readFileSync(page, "utf8"))?.[2]]).toEqual([0, text]);
    });

    test(`cairn ${verb.name} says its exit codes, and takes --json`, async () => {
      expect(await verb.help()).toContain("Exit codes: 0 ");
      expect(verb.args.json?.type).toBe("boolean");
    });
  }

  test("docs/cli.md names every verb and no other", () => {
    const named = [...readFileSync(page, "utf8").matchAll(/^## cairn (\w+)$/gm)].map(([, name]) => name);
    expect(named).toEqual(VERBS.map(({ name }) => name));
  });

  test("cairn alone lists the verbs, as wrong usage; with --help it is asked for", async () => {
    const alone = await run([]);
    const asked = await run(["--help"]);
    expect([alone.code, asked.code, alone.text === asked.text]).toEqual([2, 0, true]);
    for (const { name, description } of VERBS) {
      expect(asked.text).toContain(`${name.padEnd(8)} ${description}`.trim());
    }
    expect((await run(["help", "inspect"])).text).toBe((await run(["inspect", "-h"])).text);
  });

  test("the version is that of the package", async () => {
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
    expect([VERSION, (await run(["--version"])).text]).toEqual([version, `${version}\n`]);
  });

  test("wrong usage is a sentence and exit code 2", async () => {
    expectGolden("usage_verb", await run(["inpect", "x"]));
    expectGolden("usage_option", await run(["inspect", "x", "--stat"]));
    expectGolden("usage_missing", await run(["inspect"]));
    expectGolden("usage_value", await run(["inspect", "x", "--include"]));
    expectGolden("usage_json", await run(["inspect", "--json"]));
  });
});
