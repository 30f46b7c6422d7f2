import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runtimeCommand } from "../../tests/helpers/child.ts";
import type { RowContext } from "./rows.ts";
import { MODES } from "./saver.ts";

const MiB = 2 ** 20;

/** Row 9: once for each mode, since memory is a peak that no busy machine changes. */
export function benchMemory({ state, figures, directory, disk }: RowContext): void {
  for (const mode of MODES) {
    const path = join(directory, `memory-${mode}`);
    mkdirSync(path);
    const [program = "", ...before] = runtimeCommand(new URL("./memory.ts", import.meta.url));
    const args = [`--mode=${mode}`, `--directory=${path}`, `--provider=${state.store.gpu.provider}`];
    if (disk.isSlow) args.push("--disk=slow");
    const { status, stdout, stderr } = spawnSync(program, [...before, ...args], { encoding: "utf8" });
    rmSync(path, { recursive: true });
    const name = `row 9, host memory above the state's own during a save by ${mode}, MiB`;
    const last = stdout?.trim().split("\n").at(-1) ?? "";
    if (status !== 0) {
      figures.absent(
        name,
        "<= 96",
        `its process ended with ${status}: ${
          stderr?.trim().split("\n").find((line) => line.includes("rror"))
        }`,
      );
    } else figures.add(name, { measured: JSON.parse(last).growth / MiB, spread: 0 }, "<= 96");
  }
}
