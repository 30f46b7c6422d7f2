import { type ArgsDef, type CommandDef, defineCommand, parseArgs, type ParsedArgs, renderUsage } from "citty";
import { nearestName } from "../base/options/nearest_name.ts";
import type { Output } from "./print/output.ts";

/** 0: fine. 1: damage or a difference was found. 2: wrong usage, or nothing that can be read. */
export type ExitCode = 0 | 1 | 2;

// deno-lint-ignore no-control-regex
const STYLES = /\x1b\[\d+m/g;

/** Text of `citty` without the colours that it gives it. */
export function plain(text: string): string {
  return text.replaceAll(STYLES, "");
}

/** What every verb says of how it ends. */
export const EXIT_CODES = "Exit codes: 0 fine, 1 damage or a difference found, 2 wrong usage or unreadable.";

/** Something the caller of the command has to write differently. Its message is one sentence. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** One verb of the command. */
export interface Verb {
  readonly name: string;
  /** One line, for the list of verbs. */
  readonly description: string;
  /** Its arguments as `citty` has them. */
  readonly args: ArgsDef;
  /** Its help, as plain text. */
  help(): Promise<string>;
  /** @throws UsageError for arguments that it does not take; whatever it finds. */
  run(rawArgs: readonly string[], output: Output): Promise<ExitCode>;
}

/** What a verb is made of. */
export interface VerbDefinition<Args extends ArgsDef> {
  readonly name: string;
  readonly description: string;
  readonly args: Args;
  /** Options that may be given several times, or with commas; see {@link listOf}. */
  readonly lists?: readonly (keyof Args & string)[];
  /** Further lines of its help. */
  readonly notes?: readonly string[];
  run(given: ParsedArgs<Args>, output: Output): Promise<ExitCode>;
}

/** `--json`, which every verb takes. */
export const JSON_ARG = {
  type: "boolean",
  description: "Print JSON: one document on one line",
} as const;

const BETWEEN = "\n";

/** The verb that a definition describes: it refuses options that it does not have. */
export function defineVerb<const Args extends ArgsDef>(definition: VerbDefinition<Args>): Verb {
  const { name, description, args, lists = [], notes = [] } = definition;
  const command: CommandDef = defineCommand<ArgsDef>({ meta: { name, description }, args });
  const parent: CommandDef = defineCommand({ meta: { name: "cairn" } });
  return {
    name,
    description,
    args,
    async help() {
      const usage = plain(await renderUsage(command, parent));
      const lines = usage.trimEnd().split("\n").map((line) => line.trimEnd());
      return [...lines, "", ...notes, EXIT_CODES, ""].join("\n");
    },
    async run(rawArgs, output) {
      const given = parseArgs<Args>(joinRepeated(rawArgs, lists), args);
      refuseUnknown(name, args, given);
      return await definition.run(given, output);
    },
  };
}

/** The values of an option that may be given several times, or once with commas between them. */
export function listOf(value: string | undefined): string[] | undefined {
  return value?.split(/[\n,]/).map((each) => each.trim()).filter((each) => each !== "");
}

/** Every value of an option in `names` as one value of it, which `citty` would forget all but the last of. */
function joinRepeated(rawArgs: readonly string[], names: readonly string[]): string[] {
  const values = new Map<string, string[]>();
  const others: string[] = [];
  for (let at = 0; at < rawArgs.length; at++) {
    const arg = rawArgs[at] ?? "";
    const name = names.find((each) => arg === `--${each}` || arg.startsWith(`--${each}=`));
    if (name === undefined) others.push(arg);
    else {
      const value = arg.includes("=") ? arg.slice(name.length + 3) : rawArgs[++at];
      if (value === undefined) throw new UsageError(`--${name} needs a value`);
      values.set(name, [...values.get(name) ?? [], value]);
    }
  }
  return [...[...values].map(([name, each]) => `--${name}=${each.join(BETWEEN)}`), ...others];
}

function refuseUnknown(verb: string, args: ArgsDef, given: Readonly<Record<string, unknown>>): void {
  const names = Object.keys(args).filter((name) => args[name]?.type !== "positional");
  for (const [name, value] of Object.entries(given)) {
    if (name === "_" || Object.keys(args).some((known) => isSame(known, name))) {
      if (value === "" && args[name]?.type === "string") throw new UsageError(`--${name} needs a value`);
      continue;
    }
    const nearest = nearestName(name, names);
    const advice = nearest === undefined ? `see cairn ${verb} --help` : `did you mean --${nearest}?`;
    throw new UsageError(`cairn ${verb} has no option --${name}; ${advice}`);
  }
}

/** `max-file-bytes` and `maxFileBytes` are the same option to `citty`. */
function isSame(known: string, name: string): boolean {
  return known.replaceAll("-", "").toLowerCase() === name.replaceAll("-", "").toLowerCase();
}
