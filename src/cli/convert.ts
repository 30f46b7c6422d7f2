import { NameSelection, type RenameRule } from "../base/name_pattern.ts";
import { nodeBuiltin } from "../base/node_builtin.ts";
import { CairnError } from "../base/errors.ts";
import { safeText } from "../base/printable.ts";
import type { Manifest } from "../container/format/manifest.ts";
import { FileStorage } from "../storage/file_storage.ts";
import { convertedTensors } from "./convert/outgoing_tensors.ts";
import { sizeOf } from "./convert/size_of.ts";
import { type Target, writeTensors, WRITTEN } from "./convert/write_tensors.ts";
import { isAddress } from "./open/locate.ts";
import { isBucket } from "./open/locate_in_bucket.ts";
import { openFile } from "./open/open_file.ts";
import type { OpenedFile } from "./open/opened_file.ts";
import { jsonLine } from "./print/json.ts";
import { ProgressLine } from "./print/progress.ts";
import { bytesText, countText } from "./print/text.ts";
import { defineVerb, JSON_ARG, listOf, UsageError, type Verb } from "./verb.ts";

/** `cairn convert IN OUT`. */
export const convert: Verb = defineVerb({
  name: "convert",
  description: "Writes the tensors of a file in another format: .cairn, .safetensors or .npz",
  args: {
    in: {
      type: "positional",
      required: true,
      description: "A file, a directory (its newest checkpoint), or an address",
    },
    out: { type: "positional", required: true, description: "The new file; its ending says the format" },
    dtype: {
      type: "enum",
      options: ["f32", "f16", "bf16"],
      description: "What f32, f16 and bf16 tensors are written as",
    },
    include: {
      type: "string",
      valueHint: "pattern",
      description: "Only tensors of these names, in which * is any text; may be repeated",
    },
    exclude: { type: "string", valueHint: "pattern", description: "All but these; may be repeated" },
    rename: {
      type: "string",
      valueHint: "from=to",
      description: "New names, such as 'model.*=*'; the first rule that fits; may be repeated",
    },
    "max-file-size": {
      type: "string",
      valueHint: "size",
      description: "Cut safetensors into several files and an index above this, such as 5GB",
    },
    compress: { type: "boolean", description: "Deflate the arrays of an npz file" },
    overwrite: { type: "boolean", description: "Replace a file that is there, in one step" },
    json: JSON_ARG,
  },
  lists: ["include", "exclude", "rename"],
  notes: [
    "Reads what inspect reads. One tensor at a time is in memory, and no more. The file is durable, or not there.",
    "The state of a checkpoint stays behind, with its typed arrays: what a run is to go on from is copied instead.",
    "",
  ],
  async run(given, output) {
    const { in: location, out, dtype, include, exclude, rename, json } = given;
    const target = await targetOf(out, given);
    const selection = new NameSelection(listOf(include), listOf(exclude));
    const file = await openFile(location);
    const line = new ProgressLine(output);
    try {
      const { tensors, stateTensors } = await convertedTensors(file, {
        selection,
        rename: renameRules(listOf(rename)),
        dtype: dtype as "f32" | "f16" | "bf16" | undefined,
      });
      refuseNothing(location, tensors.length, selection);
      const written = await writeTensors(
        target,
        tensors,
        manifestOf(file),
        (done, total) => line.show(safeText(out), done, total),
      );
      line.end();
      const path = target.storage.describe(written.path);
      const { fileBytes, fileCount, widened } = written;
      if (json) {
        output.write(
          jsonLine({ path, fileBytes, files: fileCount, tensors: tensors.length, stateTensors, widened }),
        );
        return 0;
      }
      const files = fileCount === 1 ? "" : ` in ${countText(fileCount, "file")}`;
      output.write(
        `${safeText(path)}  ${bytesText(fileBytes)}${files}, ${countText(tensors.length, "tensor")}\n`,
      );
      if (stateTensors.length > 0) {
        output.write(`  ${countText(stateTensors.length, "array")} of the state left behind\n`);
      }
      if (widened.length > 0) {
        output.write(`  ${countText(widened.length, "tensor")} of bf16 as f32, which is exact\n`);
      }
      return 0;
    } finally {
      line.end();
      await file.close();
    }
  },
});

async function targetOf(
  out: string,
  given: {
    readonly overwrite?: unknown;
    readonly compress?: unknown;
    readonly "max-file-size"?: string | undefined;
  },
): Promise<Target> {
  const paths = nodeBuiltin("node:path");
  if (paths === undefined) throw new CairnError("unsupported", "This runtime has no file system (node:path)");
  if (isAddress(out)) {
    throw new UsageError(`Cannot write to ${out}: a web server only gives files; name a path`);
  }
  if (isBucket(out)) {
    throw new UsageError(
      `Cannot write to ${out}: files in a bucket have names that only Cairn knows; name a path, and copy the file there`,
    );
  }
  const ending = WRITTEN.find((each) => out.endsWith(each));
  if (ending === undefined) {
    throw new UsageError(
      `"${out}" does not say the format; expected a path that ends with ${WRITTEN.join(", ")}`,
    );
  }
  const maxFileBytes = sizeOf(given["max-file-size"]);
  if (maxFileBytes !== undefined && ending !== ".safetensors") {
    throw new UsageError(`--max-file-size is for .safetensors, found "${out}"`);
  }
  if (given.compress === true && ending !== ".npz") {
    throw new UsageError(`--compress is for .npz, found "${out}"`);
  }
  return {
    storage: await FileStorage.open(paths.dirname(paths.resolve(out))),
    path: paths.basename(out),
    overwrite: given.overwrite === true,
    compress: given.compress === true,
    maxFileBytes,
  };
}

function renameRules(texts: readonly string[] = []): RenameRule[] {
  return texts.map((text) => {
    const at = text.indexOf("=");
    if (at < 1) throw new UsageError(`--rename ${text} is no rule; expected one such as 'encoder.*=model.*'`);
    return { from: text.slice(0, at), to: text.slice(at + 1) };
  });
}

function refuseNothing(location: string, count: number, selection: NameSelection): void {
  const [unmatched] = selection.unmatched();
  if (unmatched !== undefined) {
    throw new UsageError(
      `No tensor of "${location}" matches ${
        unmatched.replace(/^(only|exclude)/, (option) => option === "only" ? "--include" : "--exclude")
      }`,
    );
  }
  if (count === 0) throw new UsageError(`There is no tensor to convert in "${location}"`);
}

/** Where the tensors come from, without what ties a file to its run. */
function manifestOf({ container }: OpenedFile): Pick<Manifest, "metrics" | "provenance"> {
  if (container === undefined) return { metrics: {}, provenance: {} };
  const { metrics, provenance } = container.manifest;
  const { runId: _, tag: __, order: ___, savedBy: ____, parent: _____, ...rest } = provenance;
  return { metrics, provenance: rest };
}
