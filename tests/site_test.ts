import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brokenLinks } from "../tools/site.mjs";
import { rootPath } from "./examples/doc_examples.ts";
import { runChild } from "./helpers/child.ts";
import { inFolder } from "./helpers/in_folder.ts";

const MINUTES = 60_000;

describe("the site", () => {
  test("is made of the pages and the entries, and every link in it leads somewhere", async () => {
    await inFolder(async (folder) => {
      const { status, output } = await runChild(["node", join(rootPath, "tools", "site.mjs"), folder]);
      expect([status, output.includes("pages and the API reference")]).toEqual([0, true]);
      for (const page of ["index", "training", "format", "api/index", "api/nn/index"]) {
        expect([page, existsSync(join(folder, `${page}.html`))]).toEqual([page, true]);
      }
      // Pages name each other as files, which are links on the site.
      expect(readFileSync(join(folder, "index.html"), "utf8")).toContain('<a href="training.html">');
    });
  }, 5 * MINUTES);

  test("a link to no file, and one to no place in a page, are found", async () => {
    await inFolder((folder) => {
      mkdirSync(join(folder, "api"));
      writeFileSync(
        join(folder, "api", "a.html"),
        '<a href="..&#x2F;b.html#there">b</a><a href="gone.html">c</a>',
      );
      const links = ["#here", "#nowhere", "api/a.html", "https://example.com/", "none.html"];
      const anchors = links.map((link) => `<a href="${link}">x</a>`).join("");
      writeFileSync(join(folder, "b.html"), `<h1 id="here">B</h1>${anchors}`);
      expect(brokenLinks(folder).sort()).toEqual([
        "api/a.html: gone.html",
        "b.html: #nowhere",
        "b.html: none.html",
      ]);
    });
  });
});
