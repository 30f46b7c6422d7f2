#!/usr/bin/env node
/**
 * The command `cairn`: looks at checkpoints and files of tensors, verifies, compares and converts them.
 *
 * @example
 * ```sh
 * npx @cairn-ml/cairn inspect checkpoints
 * bunx @cairn-ml/cairn verify checkpoints/100.cairn
 * deno run -A jsr:@cairn-ml/cairn/cli ls checkpoints
 * ```
 *
 * @module
 */
import { nodeBuiltin } from "../base/node_builtin.ts";
import { runCommandLine } from "./command_line.ts";
import { processOutput } from "./print/output.ts";

/** What of a runtime says how it was started. */
interface Host {
  readonly argv?: readonly string[];
  exitCode?: number | string | null | undefined;
}

/** Whether this very module was started, and not imported. npm starts it by a link. */
function isStarted(script: string | undefined): boolean {
  const { main } = import.meta as { main?: boolean };
  if (main !== undefined) return main;
  const fs = nodeBuiltin("node:fs");
  const urls = nodeBuiltin("node:url");
  if (script === undefined || fs === undefined || urls === undefined) return false;
  return fs.realpathSync(script) === fs.realpathSync(urls.fileURLToPath(import.meta.url));
}

const { process } = globalThis as { process?: Host };
if (process !== undefined && isStarted(process.argv?.[1])) {
  process.exitCode = await runCommandLine(process.argv?.slice(2) ?? [], processOutput());
}
