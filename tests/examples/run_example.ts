import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { runChild, runtimeCommand } from "../helpers/child.ts";
import { type DocExample, rootPath, runnable } from "./doc_examples.ts";

const isDeno = process.versions.deno !== undefined;

/** Runs an example as a program of its own, in a directory of its own. */
export async function runExample(
  example: DocExample,
): Promise<{ status: number | null; output: string; errors: string }> {
  const directory = mkdtempSync(join(tmpdir(), "cairn-example-"));
  try {
    const script = join(directory, "example.ts");
    // Whatever an example saves, it saves where it stands.
    writeFileSync(script, `process.chdir(${JSON.stringify(directory)});\n${runnable(example)}`);
    const command = runtimeCommand(pathToFileURL(script));
    if (isDeno) command.splice(2, 0, `--config=${join(rootPath, "deno.json")}`);
    return await runChild(command, { keepsErrors: true });
  } finally {
    rmSync(directory, { recursive: true });
  }
}
