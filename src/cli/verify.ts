import { safeText } from "../base/printable.ts";
import { type Finding, type Verification, verifyAll } from "./verify/verification.ts";
import { type Json, jsonLine } from "./print/json.ts";
import type { Output } from "./print/output.ts";
import { ProgressLine } from "./print/progress.ts";
import { bytesText, countText, type Style, styled } from "./print/text.ts";
import { defineVerb, type ExitCode, JSON_ARG, type Verb } from "./verb.ts";

const STYLES: Readonly<Record<Verification["status"], Style>> = {
  ok: "green",
  damaged: "red",
  unreadable: "yellow",
};

/** `cairn verify PATH…`. */
export const verify: Verb = defineVerb({
  name: "verify",
  description: "Reads every byte and compares every checksum; names each damaged tensor",
  args: {
    path: {
      type: "positional",
      required: true,
      description: "Files, directories (all files in them), addresses, s3://bucket/prefix; one or more",
    },
    json: JSON_ARG,
  },
  notes: [
    "Safetensors and npy files have no checksums: of them the structure is checked.",
    "Exits with 1 where anything is damaged, and with 2 where something cannot be read and nothing is damaged.",
    "",
  ],
  async run({ _: paths, json }, output) {
    const line = new ProgressLine(output);
    const all: Verification[] = [];
    for (const path of paths) {
      const found = await verifyAll(path, (label, done, total) => line.show(safeText(label), done, total));
      line.end();
      if (!json) { for (const each of found) output.write(verificationText(each, output)); }
      all.push(...found);
    }
    if (json) output.write(jsonLine(all.map(verificationJson)));
    return codeOf(all);
  },
});

function codeOf(all: readonly Verification[]): ExitCode {
  if (all.some(({ status }) => status === "damaged")) return 1;
  return all.some(({ status }) => status === "unreadable") ? 2 : 0;
}

function verificationText(verification: Verification, output: Output): string {
  const { file, status, fileBytes, tensorCount, checked, findings } = verification;
  const facts = [
    ...fileBytes === undefined ? [] : [bytesText(fileBytes)],
    ...tensorCount === undefined ? [] : [countText(tensorCount, "tensor")],
    ...checked === "structure" ? ["its structure only: the format has no checksums"] : [],
  ];
  const head = `${styled(output, STYLES[status], status.padEnd(10))} ${safeText(file)}` +
    `${facts.length === 0 ? "" : `  ${facts.join(", ")}`}\n`;
  return head + findings.map((finding) => `  ${findingText(finding)}\n`).join("");
}

function findingText({ tensors, message }: Finding): string {
  const names = tensors.map((name) => safeText(JSON.stringify(name))).join(", ");
  return names === "" ? safeText(message) : `${names}: ${safeText(message)}`;
}

function verificationJson({ findings, ...verification }: Verification): Json {
  return { ...verification, findings: findings.map((each) => ({ ...each })) };
}
