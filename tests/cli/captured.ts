import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { expect } from "bun:test";
import { runCommandLine } from "../../src/cli/command_line.ts";
import type { Output } from "../../src/cli/print/output.ts";

/** What a call of the command wrote and how it ended. */
export interface Captured {
  readonly code: number;
  readonly text: string;
  readonly notes: string;
}

/** An output that keeps what is written. */
export function capture(
  options: Partial<Output> = {},
): { readonly output: Output; readonly texts: string[]; readonly notes: string[] } {
  const texts: string[] = [];
  const notes: string[] = [];
  const output: Output = {
    write: (text) => void texts.push(text),
    note: (text) => void notes.push(text),
    isTerminal: false,
    hasStyles: false,
    signal: new AbortController().signal,
    ...options,
  };
  return { output, texts, notes };
}

/** Runs the command, as `cairn ARGS` does. */
export async function run(args: readonly string[], options: Partial<Output> = {}): Promise<Captured> {
  const { output, texts, notes } = capture(options);
  const code = await runCommandLine(args, output);
  return { code, text: texts.join(""), notes: notes.join("") };
}

const GOLDEN = fileURLToPath(new URL("golden/", import.meta.url));

/**
 * Compares all that a call wrote with `golden/NAME.txt`. What differs from machine to machine is replaced first.
 * `CAIRN_GOLDEN=write` writes the files anew, to be read before they are committed.
 */
export function expectGolden(
  name: string,
  { code, text, notes }: Captured,
  replaced: Record<string, string> = {},
): void {
  let found = `exit ${code}\n${text}${notes === "" ? "" : `--- notes\n${notes}`}`;
  for (const [from, to] of Object.entries(replaced)) found = found.replaceAll(from, to);
  const file = `${GOLDEN}${name}.txt`;
  if (process.env.CAIRN_GOLDEN === "write") {
    mkdirSync(GOLDEN, { recursive: true });
    writeFileSync(file, found);
  }
  expect([name, existsSync(file) ? readFileSync(file, "utf8") : "no such file"]).toEqual([name, found]);
}
