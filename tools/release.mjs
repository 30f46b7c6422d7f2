// `npm run release -- 1.2.3` puts a version into package.json, deno.json, the lock file, the version that new files
// and the command name, and the change log, commits that and tags it. `--check v1.2.3` says whether all of them agree with a tag, and
// changes nothing.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(fileURLToPath(new URL(".", import.meta.url)), "..");
const read = (file) => readFileSync(join(root, file), "utf8");

/** Where the version stands: a file, and a pattern whose only group is the version. */
const PLACES = [
  ["package.json", /^ {2}"version": "([^"]+)"/m],
  ["package-lock.json", /^ {2}"version": "([^"]+)"/m],
  ["package-lock.json", /^ {6}"version": "([^"]+)"/m],
  ["deno.json", /^ {2}"version": "([^"]+)"/m],
  ["src/container/version.ts", /^export const VERSION = "([^"]+)"/m],
];
const UNRELEASED = /^## (\S+) \(unreleased\)$/m;

function fail(message) {
  console.error(`release: ${message}`);
  process.exit(1);
}

function versionAt([file, pattern]) {
  return pattern.exec(read(file))?.[1] ?? fail(`${file} has no version where one is expected (${pattern})`);
}

function check(tag) {
  for (const place of PLACES) {
    const version = versionAt(place);
    if (`v${version}` !== tag) fail(`${place[0]} has version ${version}, the tag is ${tag}`);
  }
  if (UNRELEASED.test(read("CHANGELOG.md"))) fail("the first entry of CHANGELOG.md is unreleased");
}

function release(version) {
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) fail(`"${version}" is no version; give one such as 1.2.3`);
  const git = (...args) => execFileSync("git", args, { cwd: root, encoding: "utf8" });
  if (git("status", "--porcelain") !== "") fail("there are changes that are not committed");
  if (!UNRELEASED.test(read("CHANGELOG.md"))) fail("CHANGELOG.md has no entry that is unreleased");
  for (const place of PLACES) {
    const [file, pattern] = place;
    const text = read(file);
    const { 0: line, 1: before } = pattern.exec(text) ?? fail(`${file} has no version`);
    writeFileSync(join(root, file), text.replace(line, line.replace(before, version)));
  }
  const day = new Date().toISOString().slice(0, 10);
  writeFileSync(
    join(root, "CHANGELOG.md"),
    read("CHANGELOG.md").replace(UNRELEASED, `## ${version} (${day})`),
  );
  git("commit", "--all", "--message", `release: ${version}`);
  git("tag", "--annotate", `v${version}`, "--message", `Cairn ${version}`);
  console.log(`Tagged v${version}. "git push --follow-tags" publishes it.`);
}

const [first, tag] = process.argv.slice(2);
if (first === "--check") check(tag ?? fail("--check needs a tag"));
else release(first ?? fail("give the version, for example: npm run release -- 1.2.3"));
