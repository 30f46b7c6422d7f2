// `npm run site [-- FOLDER]`: the API reference by `deno doc`, and the pages of docs/ by marked, as HTML in site/. Every link from
// one of the pages into the site is followed; one that leads nowhere is an error.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { Marked } from "marked";
import { denoPath, environment, root } from "./runtimes.mjs";

const REPOSITORY = "https://github.com/cairn-ml/cairn/blob/main/";
const PICTURES = "docs/images";
const AT_TOP = ["README.md", "FORMAT.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];

/** The pages, by the file that each is made of: the README is the first that a reader sees. */
export function pagesOfSite() {
  const docs = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md")).sort();
  const sources = [...AT_TOP, ...docs.map((name) => `docs/${name}`)];
  return new Map(sources.map((source) => [
    source,
    source === "README.md" ? "index.html" : basename(source).toLowerCase().replace(/\.md$/, ".html"),
  ]));
}

/** Writes the pages into `folder`, which may have an API reference in `api/`. */
export function writePages(folder) {
  const pages = pagesOfSite();
  mkdirSync(folder, { recursive: true });
  for (const [source, target] of pages) writeFileSync(join(folder, target), pageOf(source, pages));
  cpSync(join(root, PICTURES), join(folder, basename(PICTURES)), { recursive: true });
}

/** What a page calls a picture of {@link PICTURES}, from where all pages are. */
function pictureOf(href, source) {
  const path = relative(root, resolve(root, dirname(source), href)).replaceAll("\\", "/");
  return path.startsWith(`${PICTURES}/`) ? path.slice(dirname(PICTURES).length + 1) : href;
}

function pageOf(source, pages) {
  const slugs = new Map();
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth, text }) {
        const id = slugOf(text, slugs);
        return `<h${depth} id="${id}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
      codespan({ text, raw }) {
        // A page that is named is linked.
        const page = pageNamed(text, source, pages);
        const code = `<code>${escaped(text ?? raw)}</code>`;
        return page === undefined ? code : `<a href="${page}">${code}</a>`;
      },
    },
    walkTokens(token) {
      if (token.type === "link") token.href = targetOf(token.href, source, pages);
      if (token.type === "image") token.href = pictureOf(token.href, source);
    },
  });
  const body = marked.parse(readFileSync(join(root, source), "utf8"));
  const title = /<h1[^>]*>(.*?)<\/h1>/s.exec(body)?.[1]?.replace(/<[^>]+>/g, "") ?? source;
  const links = [...pages].map(([other, target]) =>
    `<a href="${target}"${other === source ? ' aria-current="page"' : ""}>${nameOf(other)}</a>`
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title === "Cairn" ? title : `${title} – Cairn`}</title>
<style>${STYLE}</style>
<nav>${links.join("\n")}\n<a href="api/index.html">API</a></nav>
<main>${body}</main>
</html>
`;
}

function pageNamed(text, source, pages) {
  const name = [text, join(dirname(source), text)].find((path) => pages.has(path));
  return name === undefined || name === source ? undefined : pages.get(name);
}

/** Where a link of a page leads on the site: to another page, or to a file of the repository. */
function targetOf(href, source, pages) {
  if (/^([a-z]+:|#)/.test(href)) return href;
  const [path, anchor] = href.split("#");
  const file = join(dirname(source), path);
  const page = pages.get(file) ?? REPOSITORY + file;
  return anchor === undefined ? page : `${page}#${anchor}`;
}

/** The anchor that code hosts give a heading. */
function slugOf(text, known) {
  const slug = text.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(/\s/g, "-");
  const count = known.get(slug) ?? 0;
  known.set(slug, count + 1);
  return count === 0 ? slug : `${slug}-${count}`;
}

function nameOf(source) {
  if (source === "README.md") return "Cairn";
  const words = basename(source, ".md").toLowerCase().replaceAll("_", " ");
  return words === "cli" ? "Command" : words[0].toUpperCase() + words.slice(1);
}

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const STYLE = `
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 76rem; display: grid; grid-template-columns: 11rem 1fr; gap: 2rem; padding: 1rem;
  font: 1rem/1.55 system-ui, sans-serif; }
nav { display: flex; flex-direction: column; gap: .4rem; position: sticky; top: 1rem; align-self: start; }
nav a { text-decoration: none; } nav a[aria-current] { font-weight: bold; }
main { min-width: 0; } h1, h2, h3 { line-height: 1.25; }
pre { overflow-x: auto; padding: .8rem; border-radius: .3rem; background: rgb(128 128 128 / .12); }
code { font: .9em ui-monospace, monospace; }
table { display: block; overflow-x: auto; border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border: 1px solid rgb(128 128 128 / .35); }
@media (max-width: 50rem) { body { display: block; } nav { position: static; flex-flow: row wrap; gap: .4rem 1rem; } }
`;

/** Of the reference, which another tool makes, only the files are looked for. */
const isReference = (name) => name.startsWith("api");

/** What a link is without the entities of HTML. */
function plain(link) {
  return link.replace(/&#x([0-9a-f]+);/gi, (_, code) => String.fromCodePoint(parseInt(code, 16))).replaceAll(
    "&amp;",
    "&",
  );
}

/** Links in the HTML files of `folder` that lead to nothing in it: `page: link`. */
export function brokenLinks(folder) {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".html")
  );
  const texts = new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
  const idsOf = (name) =>
    new Set([...texts.get(name).matchAll(/\b(?:id|name)="([^"]*)"/g)].map(([, id]) => id));
  const ids = new Map(names.map((name) => [name, idsOf(name)]));
  const broken = [];
  for (const [name, text] of texts) {
    const links = new Set([...text.matchAll(/\b(?:href|src)="([^"]*)"/g)].map(([, link]) => link));
    for (const link of links) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path, anchor = ""] = plain(link).split("#").map(decodeURIComponent);
      const target = path === "" ? name : relative(folder, join(folder, dirname(name), path));
      const isThere = existsSync(join(folder, target)) &&
        (anchor === "" || isReference(name) || ids.get(target)?.has(anchor) === true);
      if (!isThere) broken.push(`${name}: ${link}`);
    }
  }
  return broken;
}

/** The API reference of every entry but `keep`, whose names are among those of others: one page a name. */
export function writeReference(folder) {
  const { name, exports } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  const files = Object.entries(exports).filter(([door]) => door !== "./keep").map(([, file]) =>
    join(root, file)
  );
  const args = ["doc", "--html", `--name=${name}`, `--output=${folder}`, "--quiet", ...files];
  const { status, stderr } = spawnSync(denoPath(), args, { cwd: root, env: environment(), encoding: "utf8" });
  if (status !== 0) throw new Error(`deno doc ended with ${status}: ${stderr}`);
}

if (process.argv[1] === join(root, "tools", "site.mjs")) {
  const folder = resolve(root, process.argv[2] ?? "site");
  rmSync(folder, { recursive: true, force: true });
  writePages(folder);
  writeReference(join(folder, "api"));
  const broken = brokenLinks(folder);
  for (const link of broken) console.error(`site: nothing is at ${link}`);
  console.log(`site: ${pagesOfSite().size} pages and the API reference in ${folder}`);
  process.exit(broken.length > 0 ? 1 : 0);
}
