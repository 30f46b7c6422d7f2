import { nodeBuiltin } from "../base/node_builtin.ts";
import { randomHex } from "../base/hex.ts";
import { safeText } from "../base/printable.ts";
import { pageText } from "../page/server/page_text.ts";
import { servePage } from "../page/server/serve_page.ts";
import { FileStorage } from "../storage/file_storage.ts";
import { writeDurably } from "../storage/write_durably.ts";
import { isBucket } from "./open/locate_in_bucket.ts";
import { jsonLine } from "./print/json.ts";
import type { Output } from "./print/output.ts";
import { bytesText } from "./print/text.ts";
import { defineVerb, type ExitCode, JSON_ARG, UsageError, type Verb } from "./verb.ts";

/** `cairn serve DIR|FILE`. */
export const serve: Verb = defineVerb({
  name: "serve",
  description: "Shows a directory or a file in a browser: tensors, curves, comparison, lineage",
  args: {
    path: {
      type: "positional",
      default: ".",
      description: "A directory, with all that is below it, or one file",
    },
    port: { type: "string", valueHint: "number", description: "Default: one that is free" },
    save: {
      type: "string",
      valueHint: "file",
      description: "Write the page as a file that opens what is dropped on it, and end",
    },
    json: JSON_ARG,
  },
  notes: [
    "Only programs of this machine reach it, and only with the token in its address. It reads, and writes nothing;",
    "of files it gives out .cairn, .safetensors and .jsonl. Logs of runs are followed as they grow. Ctrl-C ends it.",
    "",
  ],
  async run({ path, port, save, json }, output) {
    if (save !== undefined) return await savePage(save, json === true, output);
    if (isBucket(path)) {
      throw new UsageError(`Cannot serve ${path}: it is in a bucket; see cairn ls, inspect and verify`);
    }
    const server = await servePage(path, { port: portOf(port) });
    output.write(
      json ? jsonLine({ url: server.url }) : `${safeText(path)} is shown at ${server.url}\nCtrl-C ends it.\n`,
    );
    await aborted(output.signal);
    await server.close();
    return 0;
  },
});

/** Writes the page, in the place of an older one. */
async function savePage(file: string, isJson: boolean, output: Output): Promise<ExitCode> {
  const path = nodeBuiltin("node:path");
  if (path === undefined) throw new UsageError("This runtime has no file system to save the page to");
  const full = path.resolve(file);
  const storage = await FileStorage.open(path.dirname(full));
  const page = new TextEncoder().encode(pageText());
  const options = { overwrite: true, randomName: randomHex(16) };
  await writeDurably(storage, path.basename(full), options, (written) => written.write(page));
  output.write(
    isJson
      ? jsonLine({ file: full, bytes: page.byteLength })
      : `${safeText(full)}  ${bytesText(page.byteLength)}; open it in a browser\n`,
  );
  return 0;
}

function portOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port <= 65_535) return port;
  throw new UsageError(`--port is "${safeText(text)}"; expected a number from 0 to 65535`);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
