import { CairnError } from "../base/errors.ts";
import { isDamage } from "../container/format/damage.ts";
import { nearestName } from "../base/options/nearest_name.ts";
import { safeText } from "../base/printable.ts";
import { VERSION } from "../container/version.ts";
import { bench } from "./bench.ts";
import { convert } from "./convert.ts";
import { diff } from "./diff.ts";
import { inspect } from "./inspect.ts";
import { ls } from "./ls.ts";
import { jsonLine } from "./print/json.ts";
import type { Output } from "./print/output.ts";
import { styled } from "./print/text.ts";
import { prune } from "./prune.ts";
import { serve } from "./serve.ts";
import { verify } from "./verify.ts";
import { EXIT_CODES, type ExitCode, plain, UsageError, type Verb } from "./verb.ts";

/** Every verb, in the order of the help. */
export const VERBS: readonly Verb[] = [inspect, ls, verify, diff, convert, prune, bench, serve];

/**
 * Runs `cairn` with these arguments, the verb first.
 *
 * @returns The exit code. Whatever goes wrong is written to the output, with `--json` as `{"error": …}`.
 */
export async function runCommandLine(args: readonly string[], output: Output): Promise<ExitCode> {
  const [name, ...rest] = args;
  try {
    if (name === undefined || isHelp(name) || name === "help") {
      const verb = VERBS.find((each) => each.name === rest[0]);
      output.write(verb === undefined ? overview() : await verb.help());
      return name === undefined ? 2 : 0;
    }
    if (name === "--version" || name === "-v") {
      output.write(`${VERSION}\n`);
      return 0;
    }
    const verb = VERBS.find((each) => each.name === name) ?? unknown(name);
    if (rest.some(isHelp)) {
      output.write(await verb.help());
      return 0;
    }
    return await verb.run(rest, output);
  } catch (error) {
    return report(error, args.includes("--json"), output);
  }
}

/** What `cairn` and `cairn --help` say. */
export function overview(): string {
  const width = Math.max(...VERBS.map(({ name }) => name.length));
  const lines = VERBS.map(({ name, description }) => `  ${name.padEnd(width)}  ${description}`);
  return [
    `cairn ${VERSION}: looks at checkpoints and files of tensors, and at what this machine does with them`,
    "",
    "USAGE cairn VERB [OPTIONS] …",
    "",
    ...lines,
    "",
    "A verb takes files, directories (for its newest checkpoint), http(s):// addresses, which are read by ranges, and",
    "s3://bucket/prefix, with credentials from the environment.",
    "cairn VERB --help says more. --json prints for programs.",
    EXIT_CODES,
    "",
  ].join("\n");
}

function isHelp(arg: string): boolean {
  return arg === "--help" || arg === "-h";
}

function unknown(name: string): never {
  const nearest = nearestName(name, VERBS.map((verb) => verb.name));
  throw new UsageError(
    `There is no verb "${name}"; ${nearest === undefined ? "see cairn --help" : `did you mean ${nearest}?`}`,
  );
}

/** Damage is told from what cannot be read at all. A bug of the command keeps its stack. */
function report(error: unknown, isJson: boolean, output: Output): ExitCode {
  const code = error instanceof CairnError ? error.code : error instanceof Error ? error.name : "Error";
  const message = plain(error instanceof Error ? error.message : String(error));
  if (isJson) output.write(jsonLine({ error: { code, message } }));
  else output.note(`${styled(output, "red", "error:")} ${safeLines(message)}\n`);
  const isCallers = error instanceof CairnError || error instanceof UsageError || code === "CLIError" ||
    error instanceof TypeError || error instanceof RangeError;
  if (!isCallers && error instanceof Error) output.note(`${safeLines(error.stack ?? "")}\n`);
  return isDamage(error) ? 1 : 2;
}

function safeLines(text: string): string {
  return text.split("\n").map(safeText).join("\n");
}
