// Removes one step of the protocol or of the reader at a time, in a copy of the tree outside of it, and requires that a test
// turns red: what no test misses, no test proves. `npm run faults -- mutations [words]` runs those with a word in their name.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { bunPath, environment, root } from "../../tools/runtimes.mjs";

const DURABLE = "src/storage/durable_file.ts";
const FILES = "src/storage/file_storage.ts";
const ENGINE = "src/checkpoint/file_engine.ts";
const READER = "src/container/chunk_reader.ts";

const SAVES = ["tests/storage/durable_file_test.ts", "tests/checkpoint/power_cut_test.ts"];
const REAL = ["tests/storage/file_storage_test.ts", "tests/storage/system_calls_test.ts"];
const ENGINES = ["tests/checkpoint/file_engine_test.ts", "tests/checkpoint/recovery_test.ts"];
const DAMAGE = ["tests/container/damage_test.ts", "tests/container/bad_files_test.ts"];
const TAGS = ["tests/checkpoint/tags_test.ts"];

/** What is removed, where, the text that goes, what stands there instead, and the tests that have to notice. */
const MUTATIONS = [
  ["sync of the file", DURABLE, "await writer.sync();", "", SAVES],
  [
    "sync of the directory",
    DURABLE,
    "await this.#storage.syncDirectory(directoryOf(this.path)); //",
    "//",
    SAVES,
  ],
  ["error of close", DURABLE, "await writer.close();\n", "await writer.close().catch(() => {});\n", SAVES],
  ["read-back", DURABLE, "if (options.verify ?? false) await this.#compareWithDisk();", "", SAVES],
  ["comparison of the read-back", DURABLE, "if (checksum !== this.#checksum) {", "if (false) {", SAVES],
  [
    "rest after a short write",
    DURABLE,
    "rest = rest.subarray(taken);",
    "rest = rest.subarray(rest.byteLength);",
    SAVES,
  ],
  [
    "error of an empty write",
    DURABLE,
    "if (!(taken > 0 && taken <= rest.byteLength)) {",
    "if (taken === 0) break;\n      if (taken < 0) {",
    SAVES,
  ],
  [
    "temporary file",
    DURABLE,
    "const temporaryPath = joinPath(directory, TEMPORARY_PREFIX + options.randomName);",
    "const temporaryPath = path;",
    SAVES,
  ],
  ["refusal to replace", DURABLE, "{ replace: this.#overwrite }", "{ replace: true }", [
    ...SAVES,
    ...ENGINES,
  ]],
  [
    "abort before publishing",
    DURABLE,
    "#compareWithDisk();\n    throwIfAborted(options.signal);",
    "#compareWithDisk();",
    [...SAVES, ...ENGINES],
  ],
  [
    "removal of the temporary file",
    DURABLE,
    "await this.#storage.remove(this.#temporaryPath)",
    "await Promise.resolve()",
    [...SAVES, ...ENGINES],
  ],
  [
    "fsync of a real file",
    FILES,
    'this.#run("sync", path, () => handle.sync())',
    'this.#run("sync", path, () => Promise.resolve())',
    REAL,
  ],
  ["fsync of a real directory", FILES, "await handle.sync();", "", REAL],
  [
    "fsync of a new root's parent",
    FILES,
    "await this.#syncDirectory(parent);\n      this.#durableDirectories.add(full);\n    } else if (!found",
    "} else if (!found",
    REAL,
  ],
  [
    "fsync of a new directory's parent",
    FILES,
    "await this.#syncDirectory(this.#path.dirname(full));",
    "",
    REAL,
  ],
  ["O_EXCL", FILES, "O_WRONLY | O_CREAT | O_EXCL |", "O_WRONLY | O_CREAT |", REAL],
  ["O_NOFOLLOW", FILES, "O_RDONLY | (O_NOFOLLOW ?? 0) |", "O_RDONLY |", REAL],
  ["O_NONBLOCK", FILES, " | (O_NONBLOCK ?? 0)", "", REAL],
  ["refusal of links above a file", FILES, "if (found !== undefined) refuseLink(found);", "", REAL],
  [
    "a name that is taken and not replaced",
    FILES,
    "if (options.replace === false) return",
    "if (false) return",
    REAL,
  ],
  [
    "clearing of leftovers",
    ENGINE,
    "await removeLeftovers(",
    "await (async (..._: unknown[]) => {})(",
    ENGINES,
  ],
  [
    "hint only after the commit",
    ENGINE,
    "await saved.file.commit({",
    "await this.#updateHint(info);\n        await saved.file.commit({",
    [...ENGINES, ...SAVES],
  ],
  ["clean-up after a failed save", ENGINE, "await file.abort().catch(() => {});", "", ENGINES],
  [
    "verification before recovery",
    "src/checkpoint/recovery.ts",
    "await checkpoint.verify(options);",
    "",
    ENGINES,
  ],
  [
    "newest first",
    "src/checkpoint/recovery.ts",
    "const newestFirst = [...checkpoints].reverse();",
    "const newestFirst = [...checkpoints];",
    ENGINES,
  ],
  [
    "second look while a writer cleans up",
    "src/checkpoint/recovery.ts",
    "else if (!isLast) return { found: undefined, damaged, passedOver: [], hasVanished: true };",
    "",
    ENGINES,
  ],
  [
    "second look of the catalog",
    "src/checkpoint/catalog.ts",
    'if (error.code === "not_found") hasVanished = true;',
    'if (error.code === "not_found") hasVanished = false;',
    ENGINES,
  ],
  [
    "sync before the bytes of a removed one go",
    "src/checkpoint/remove_durably.ts",
    "    await storage.syncDirectory(directory);\n    if (confirm",
    "    if (confirm",
    ["tests/checkpoint/remove_order_test.ts"],
  ],
  ["allow-list of tags", "src/checkpoint/tags.ts", "if (!TAG.test(tag)) {", "if (false) {", TAGS],
  ["refusal of ..", "src/checkpoint/tags.ts", 'if (tag.includes(".."))', "if (false)", TAGS],
  ["reserved names", "src/checkpoint/tags.ts", "if (RESERVED.test(tag)) throw", "if (false) throw", TAGS],
  ["checksum of stored bytes", READER, "this.#check(index, stored, storedCrc, tensor);", "", DAMAGE],
  [
    "checksum of raw bytes",
    READER,
    'if (codec.name !== "raw") this.#check(index, raw, rawCrc, tensor);',
    "",
    DAMAGE,
  ],
  [
    "zeros behind a chunk",
    READER,
    "if (!isAllZero(padded.subarray(storedLength))) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "checksum of the header",
    "src/container/header.ts",
    "if (actual !== headerCrc) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "zeros behind the header",
    "src/container/header.ts",
    "if (!isAllZero(bytes.subarray(HEADER_BYTES, DATA_OFFSET))) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "refusal of required flags",
    "src/container/header.ts",
    "if (requiredFlags !== 0) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "cap on the tables",
    "src/container/open_container.ts",
    "if (byteLength > limit) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "cap on the expansion of a chunk",
    "src/container/chunk_table.ts",
    "if (rawLength > storedLength * MAX_EXPANSION) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "cap on what a stream unpacks to",
    "src/container/codec/zlib_stream.ts",
    "if (buffer.byteLength !== rawLength) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "end of a stream",
    "src/container/codec/zlib_stream.ts",
    "if (engine.bytesWritten !== stream.byteLength) {",
    "if (false) {",
    DAMAGE,
  ],
];

const words = process.argv.slice(2);
const wanted = MUTATIONS.filter(([name]) => words.length === 0 || words.some((word) => name.includes(word)));
const copy = mkdtempSync(join(tmpdir(), "cairn-mutations-"));
process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
for (const name of ["src", "tests", "mod.ts", "package.json", "tsconfig.json", "tools"]) {
  cpSync(join(root, name), join(copy, name), { recursive: true });
}
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));

/** Whether the tests pass in the copy. A test that hangs is as red as one that fails. */
function passes(tests) {
  const { status } = spawnSync(bunPath(), ["test", "--bail", "--timeout", "60000", ...tests], {
    cwd: copy,
    env: environment({ NO_COLOR: "1" }),
    stdio: "ignore",
    timeout: 240_000,
  });
  return status === 0;
}

const suites = [...new Set(wanted.map(([, , , , tests]) => tests.join(" ")))];
const broken = suites.filter((tests) => !passes(tests.split(" ")));
if (broken.length > 0) {
  console.log(`Without any change these do not pass: ${broken.join("; ")}`);
  process.exit(1);
}
let survived = 0;
for (const [name, file, text, replacement, tests] of wanted) {
  const path = join(copy, file);
  const original = readFileSync(path, "utf8");
  const isThere = original.split(text).length === 2;
  if (isThere) writeFileSync(path, original.replace(text, () => replacement));
  const isRed = isThere && !passes(tests);
  writeFileSync(path, original);
  if (!isRed) survived++;
  const verdict = isRed ? "red" : isThere ? "SURVIVED" : "NOT FOUND (the text is not there, or twice)";
  console.log(`${name.padEnd(45)} ${file.padEnd(42)} ${verdict}`);
}
console.log(
  JSON.stringify({ faults: "mutations", removed: wanted.length, red: wanted.length - survived, survived }),
);
process.exit(survived > 0 ? 1 : 0);
