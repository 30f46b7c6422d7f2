import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { hasProgram, isPermitted, runChild, runtimeCommand } from "../helpers/child.ts";

const CALLS = "fsync,fdatasync,link,linkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat";
const CHILD = runtimeCommand(new URL("../faults/engine/child.ts", import.meta.url));

/** What a child that saves once asks of the kernel, in order, as "fsync .tmp-1" with the last part of the path. */
async function callsOfASave(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-calls-"));
  try {
    const log = join(folder, "log");
    const strace = ["strace", "-f", "-y", "-s", "500", "-qqq", "-o", log, "-e", `trace=${CALLS}`];
    const { status } = await runChild([...strace, ...CHILD, "train", join(folder, "runs"), "1", "one"]);
    expect(status).toBe(0);
    return readFileSync(log, "utf8").split("\n").filter((line) => line.includes(folder)).map((line) => {
      const call = /^\d+ +(\w+)\(/.exec(line)?.[1]?.replace(/at2?$/, "").replace("fdata", "f") ?? "";
      const paths = [...line.replace(/AT_FDCWD<[^>]*>/g, "").matchAll(/["</]([^"<>/]+)[">]/g)].map((
        [, name = ""],
      ) => name);
      return `${call} ${paths.map((name) => name.replace(/^\.tmp-.*/, ".tmp")).join(" ")}`
        .replace(folder.slice(folder.lastIndexOf("/") + 1), "root");
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("what the kernel is asked for", () => {
  if (!hasProgram("strace") || !isPermitted("strace", ["-f", "-o", "/dev/null", "true"])) {
    console.log("SKIP the order of system calls: strace is missing or not permitted");
    return;
  }

  test(
    "a new directory, its parent's sync, the file's sync, its name, the directory's sync, and only then the hint",
    async () => {
      const calls = await callsOfASave();
      const order = [
        "mkdir runs",
        "fsync root",
        "mkdir one",
        "fsync runs",
        "fsync .tmp",
        "link .tmp 1.cairn",
        "fsync one",
        "fsync .tmp",
        "rename .tmp latest",
        "fsync one",
      ];
      let at = -1;
      for (const call of order) {
        const found = calls.indexOf(call, at + 1);
        expect(`${call} after ${calls.slice(0, at + 1).join(", ")}: ${found > at}`).toBe(
          `${call} after ${calls.slice(0, at + 1).join(", ")}: true`,
        );
        at = found;
      }
      // No name is removed before the new one is there.
      expect(calls.slice(0, calls.indexOf("link .tmp 1.cairn")).filter((call) => call.startsWith("unlink")))
        .toEqual([]);
    },
    600_000,
  );
});
