import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import process from "node:process";
import { describe, expect, test } from "bun:test";
import { ownProcessMark, stateOfProcess } from "../../src/base/process_mark.ts";

const OWN = ownProcessMark();
const onLinux = OWN === undefined ? test.skip : test;

/** The mark of a process of this machine, put together from what `/proc` says of it. */
function markOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const started = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  return (OWN ?? "").slice(0, 48) + pid.toString(16).padStart(8, "0") +
    started.toString(16).padStart(16, "0");
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let turn = 0; !isTrue(); turn++) {
    if (turn > 100_000) throw new Error("What is waited for never happens");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function endOf(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "close");
}

describe("a process mark", () => {
  onLinux("of this process is alive, and the same each time", () => {
    expect(OWN).toMatch(/^[0-9a-f]{72}$/);
    expect(ownProcessMark()).toBe(OWN ?? "");
    expect(markOf(process.pid)).toBe(OWN ?? "");
    expect(stateOfProcess(OWN ?? "")).toBe("alive");
  });

  onLinux("is dead when another process has the number, and when nobody has it", async () => {
    const child = spawn("sleep", ["60"]);
    const mark = markOf(child.pid ?? 0);
    expect(stateOfProcess(mark)).toBe("alive");
    const startedLater = mark.slice(0, 56) +
      (Number.parseInt(mark.slice(56), 16) + 1).toString(16).padStart(16, "0");
    expect(stateOfProcess(startedLater)).toBe("dead");
    await endOf(child);
    expect(stateOfProcess(mark)).toBe("dead");
  });

  onLinux("is dead when the process was killed and its parent never asks how it ended", async () => {
    const parent = spawn("sh", ["-c", "sleep 60 & echo $!; exec sleep 60"]);
    let said = "";
    parent.stdout.on("data", (bytes) => said += bytes);
    await until(() => said.endsWith("\n") && readFileSync(`/proc/${parent.pid}/comm`, "utf8") === "sleep\n");
    const pid = Number(said);
    const mark = markOf(pid);
    expect(stateOfProcess(mark)).toBe("alive");
    process.kill(pid, "SIGKILL");
    await until(() => / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")));
    expect(stateOfProcess(mark)).toBe("dead");
    await endOf(parent);
  });

  onLinux("of another boot, of another namespace, or that is no mark, says nothing", () => {
    const mark = OWN ?? "";
    expect(stateOfProcess("0".repeat(32) + mark.slice(32))).toBe("unknown");
    expect(stateOfProcess(mark.slice(0, 32) + "0".repeat(16) + mark.slice(48))).toBe("unknown");
    for (const text of ["", mark.slice(1), `${mark}0`, mark.toUpperCase() + "!"]) {
      expect(stateOfProcess(text)).toBe("unknown");
    }
  });
});
