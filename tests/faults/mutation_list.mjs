// Steps of the protocol, of recovery, of the tag rules, of the reader's checks, of the lock and of what is asked of a
// GPU that `mutations.mjs` takes away one at a time. A text that is not in its file exactly once takes nothing away:
// a test looks for that.

import { BYTES_MUTATIONS } from "./mutation_list_bytes.mjs";
import { NUMBER_MUTATIONS } from "./mutation_list_numbers.mjs";
import { PARALLEL_MUTATIONS } from "./mutation_list_parallel.mjs";
import { RANK_MUTATIONS } from "./mutation_list_ranks.mjs";
import { RESTORE_MUTATIONS } from "./mutation_list_restore.mjs";
import { STATE_MUTATIONS } from "./mutation_list_state.mjs";
import { STEP_MUTATIONS } from "./mutation_list_step.mjs";

const DURABLE = "src/storage/durable_file.ts";
const FILES = "src/storage/file_storage.ts";
const BLOCKS = "src/storage/block_writer.ts";
const WRITER = "src/checkpoint/engine/file_writer.ts";
const READER = "src/container/read/chunk_reader.ts";
const DECODING = "src/container/codec/decode_checked.ts";
const PREPARED = "src/checkpoint/engine/prepared_checkpoint.ts";
const LOCK = "src/checkpoint/engine/lock/writer_lock.ts";
const PROCESS = "src/base/process_mark.ts";
const RETENTION = "src/checkpoint/keep/retention/retention.ts";
const UNTOUCHED = "src/checkpoint/engine/untouched.ts";
const KNOWN = "src/checkpoint/engine/known_checkpoints.ts";
const STORE_COPY = "src/checkpoint/capture/store_copy.ts";
const NAMES = "src/train/saves/name_template.ts";
const REPLACING = "src/train/saves/replacing.ts";
const CANARY = "src/checkpoint/capture/canary.ts";
const READBACK = "src/gpu/readback.ts";

const SAVES = ["tests/storage/durable_file_test.ts", "tests/checkpoint/power_cut_test.ts"];
const REAL = ["tests/storage/file_storage_test.ts", "tests/storage/system_calls_test.ts"];
const BLOCKED = ["tests/storage/block_writer_test.ts"];
const FAST = ["tests/checkpoint/file/fast_mode_test.ts"];
const ENGINES = ["tests/checkpoint/engine/file_engine_test.ts", "tests/checkpoint/keep/recovery_test.ts"];
const DAMAGE = ["tests/container/format/damage_test.ts", "tests/container/bad_files_test.ts"];
const TAGS = ["tests/checkpoint/file/tags_test.ts"];
const POOLED = ["tests/container/read/verify_test.ts", "tests/container/codec/codec_pool_test.ts"];
const LOCKS = [
  "tests/checkpoint/engine/lock/writer_lock_test.ts",
  "tests/checkpoint/compat/deepspeed_engine_test.ts",
];
const PROCESSES = ["tests/base/process_mark_test.ts"];
const RETAINED = [
  "tests/checkpoint/keep/retention/retention_test.ts",
  "tests/checkpoint/keep/retention/combine_test.ts",
];
const NEWEST = ["tests/checkpoint/engine/catalog_test.ts"];
const LOOKS = ["tests/checkpoint/engine/known_checkpoints_test.ts"];
const LEASES = ["tests/checkpoint/keep/evaluators/lease_test.ts"];
const SWEEP = ["tests/checkpoint/engine/part_sweep_test.ts"];
const RING = ["tests/gpu/readback_test.ts"];
const HTTP = "src/storage/http_request.ts";
const REQUESTS = ["tests/storage/http_request_test.ts"];
const FOREIGN = ["tests/exchange"];
/** The short tier's test of one row. */
const row = (name) => ["tests/faults/short_test.ts", "-t", name];

/** What is removed, where, the text that goes, what stands there instead, and the tests that have to notice. */
export const MUTATIONS = [
  ["sync of the file", DURABLE, "await writer.sync();", "", SAVES],
  [
    "sync of the directory",
    DURABLE,
    "await this.#storage.syncDirectory(directoryOf(this.path)); //",
    "//",
    SAVES,
  ],
  ["error of close", DURABLE, "await writer.close();\n", "await writer.close().catch(() => {});\n", SAVES],
  [
    "file system that reports no sizes",
    "src/storage/free_bytes.ts",
    "return all > 0 && free <= all && blockBytes > 0 ? ",
    "return free <= all && blockBytes > 0 ? ",
    ["tests/storage/free_bytes_test.ts"],
  ],
  [
    "free room that is no number",
    "src/checkpoint/engine/disk_space.ts",
    "return asByteCount(await storage.freeBytes(directory));",
    "return await storage.freeBytes(directory);",
    ["tests/checkpoint/engine/disk_space_test.ts"],
  ],
  [
    "end of a file that was forgotten",
    "src/storage/open_file.ts",
    "forgottenFiles().register(this, () => fs.close(fd, () => {}), this);",
    "",
    ["tests/storage/open_file_test.ts"],
  ],
  [
    "wait for what is asked of a file that is closed",
    "src/storage/open_file.ts",
    "await Promise.allSettled(this.#underWay);",
    "",
    ["tests/storage/open_file_test.ts"],
  ],
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
    'this.#run("sync", path, () => blocks.sync())',
    'this.#run("sync", path, () => Promise.resolve())',
    REAL,
  ],
  ["fsync of a real directory", FILES, "await directory.sync();", "", REAL],
  [
    "last sync of a file that was synced in pieces",
    BLOCKS,
    'await (await this.#syncedFile()).sync("all");',
    "",
    row("A8"),
  ],
  [
    "blocks before the last sync",
    BLOCKS,
    'await this.flush();\n    await (await this.#syncedFile()).sync("all");',
    'await (await this.#syncedFile()).sync("all");\n    await this.flush();',
    row("A8"),
  ],
  ["sync of a piece", BLOCKS, "this.#beginSync();\n    }", "}", BLOCKED],
  [
    "blocks of a piece before its sync",
    BLOCKS,
    "await Promise.all(this.#underWay);\n    this.#throwFailure();\n    await (await this.#syncedFile())",
    "await (await this.#syncedFile())",
    BLOCKED,
  ],
  [
    "error of a piece's sync",
    BLOCKS,
    "this.#syncPiece().catch((error: unknown) => {\n      this.#error ??= error;",
    "this.#syncPiece().catch(() => {",
    BLOCKED,
  ],
  ["wait for a piece's sync", BLOCKS, "await this.#syncing;", "", BLOCKED],
  [
    "time of the syncs in a disk's rate",
    "src/storage/disk_rates.ts",
    "const ms = this.#writeMs + this.#syncMs;",
    "const ms = this.#writeMs;",
    FAST,
  ],
  [
    "rate of durable bytes in what fast decides",
    "src/container/codec/coding_rates.ts",
    "durable === undefined ? this.#savesTime() : this.#isFasterBeside(durable)",
    "this.#savesTime()",
    FAST,
  ],
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
    WRITER,
    "await removeLeftovers(",
    "await (async (..._: unknown[]) => {})(",
    ENGINES,
  ],
  [
    "hint only after the commit",
    WRITER,
    "await prepared.commit({",
    "await moveLatestHint(this.#storage, directory, tag, this.#files.randomName());\n      await prepared.commit({",
    [...ENGINES, ...SAVES],
  ],
  ["clean-up after a failed save", PREPARED, "await index.abort().catch(() => {});", "", ENGINES],
  [
    "verification before recovery",
    "src/checkpoint/keep/recovery.ts",
    "if (refusal === undefined) await checkpoint.verify(reading);\n    else {",
    "if (refusal !== undefined) {",
    ENGINES,
  ],
  [
    "newest first",
    "src/checkpoint/keep/recovery.ts",
    "const newestFirst = [...checkpoints].reverse();",
    "const newestFirst = [...checkpoints];",
    ENGINES,
  ],
  [
    "second look while a writer cleans up",
    "src/checkpoint/keep/recovery.ts",
    "else if (!isLast) return { found: undefined, damaged, refused, passedOver: [], hasVanished: true };",
    "",
    ENGINES,
  ],
  [
    "second look of the catalog",
    KNOWN,
    "if (found === undefined) hasVanished = true;",
    "if (found === undefined) hasVanished = false;",
    ENGINES,
  ],
  [
    "sync before the bytes of a removed one go",
    "src/checkpoint/file/remove_durably.ts",
    "    await storage.syncDirectory(directory);\n    if (confirm",
    "    if (confirm",
    ["tests/checkpoint/remove_order_test.ts"],
  ],
  ["allow-list of tags", "src/checkpoint/file/tags.ts", "if (!TAG.test(tag)) {", "if (false) {", TAGS],
  ["refusal of ..", "src/checkpoint/file/tags.ts", 'if (tag.includes(".."))', "if (false)", TAGS],
  [
    "reserved names",
    "src/checkpoint/file/tags.ts",
    "if (RESERVED.test(tag)) throw",
    "if (false) throw",
    TAGS,
  ],
  ["checksum of stored bytes", DECODING, "  checkSum(stored, storedCrc);\n", "", DAMAGE],
  ["checksum of raw bytes", DECODING, "  if (raw !== stored) checkSum(raw, rawCrc);\n", "", DAMAGE],
  [
    "zeros behind a chunk",
    READER,
    "if (isAllZero(padded.subarray(storedLength))) return stored;",
    "if (storedLength >= 0) return stored;",
    DAMAGE,
  ],
  [
    "checksum of the header",
    "src/container/format/header.ts",
    "if (actual !== headerCrc) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "zeros behind the header",
    "src/container/format/header.ts",
    "if (!isAllZero(bytes.subarray(HEADER_BYTES, DATA_OFFSET))) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "refusal of required flags",
    "src/container/format/header.ts",
    "if (requiredFlags !== 0) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "cap on the tables",
    "src/container/read/open_container.ts",
    "if (byteLength > limit) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "cap on the expansion of a chunk",
    "src/container/format/chunk_table.ts",
    "if (rawLength > storedLength * MAX_EXPANSION) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "cap on what a stream unpacks to",
    "src/container/codec/deflate/zlib_stream.ts",
    "if (buffer.byteLength !== rawLength) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "end of a stream",
    "src/container/codec/deflate/zlib_stream.ts",
    "if (engine.bytesWritten !== stream.byteLength) {",
    "if (false) {",
    DAMAGE,
  ],
  [
    "proof that the owner of a lock is dead",
    LOCK,
    'if (state === "dead") return;',
    'if (state !== "alive") return;',
    LOCKS,
  ],
  ["life of the owner of a lock", LOCK, 'if (state === "dead") return;', "return;", LOCKS],
  [
    "second look after taking a lock",
    LOCK,
    "for (const other of others) await requireDead(storage, other, self, options);\n",
    "",
    LOCKS,
  ],
  [
    "lock that is still held at the commit",
    WRITER,
    "await this.#locks.assertHeld(directory);",
    "",
    LOCKS,
  ],
  [
    "lock before anything is written",
    WRITER,
    "await this.#locks.hold(directory);",
    "",
    LOCKS,
  ],
  [
    "start of a process, where its number was used again",
    PROCESS,
    'return found === started ? "alive" : "dead";',
    'return "alive";',
    PROCESSES,
  ],
  [
    "death of a process that nobody asked about",
    PROCESS,
    'if ((state === "Z" || state === "X") && threads <= 1) return "ended";',
    "",
    PROCESSES,
  ],
  [
    "retention: checkpoints of other runs stay",
    UNTOUCHED,
    'if (runId !== ownRunId) return "belongs to another run";',
    "",
    RETAINED,
  ],
  [
    "retention: what somebody asked for stays",
    UNTOUCHED,
    'if (savedBy === "user") return "was saved because somebody asked for it";',
    "",
    NEWEST,
  ],
  [
    "retention: a file that does not say who saved it stays",
    UNTOUCHED,
    'if (savedBy === undefined) return "does not say whether it was saved automatically";',
    "",
    NEWEST,
  ],
  [
    "retention: a copy under another name stays",
    UNTOUCHED,
    "if (savedTag !== tag) {",
    "if (savedTag === undefined) {",
    NEWEST,
  ],
  [
    "retention: ages count from the one committed last",
    "src/checkpoint/keep/retention/by_time.ts",
    "all.at(-1)?.timeMs ?? -Infinity",
    "all.reduce((latest, { timeMs }) => Math.max(latest, timeMs), -Infinity)",
    ["tests/checkpoint/keep/retention/jumping_clock_test.ts"],
  ],
  [
    "the order of a commit",
    "src/checkpoint/engine/file_maker.ts",
    "order: directory.highestOrder + 1,",
    "order: 1,",
    NEWEST,
  ],
  [
    "the newest is the one committed last",
    "src/checkpoint/engine/summary.ts",
    "(a.order ?? 0) - (b.order ?? 0) || ",
    "",
    NEWEST,
  ],
  [
    "the same at every power cut",
    "src/checkpoint/engine/summary.ts",
    "(a.order ?? 0) - (b.order ?? 0) || ",
    "",
    row("A7"),
  ],
  [
    "a checkpoint that was overwritten by another process",
    KNOWN,
    "if (hint !== undefined && hint !== this.#lastCommitted) this.forget(hint);",
    "",
    LOOKS,
  ],
  [
    "a file that is another one by now",
    KNOWN,
    "identity !== undefined && identity === now && !couldNotBeRead(found);",
    "!couldNotBeRead(found);",
    LOOKS,
  ],
  [
    "the id of what is removed",
    "src/checkpoint/file/remove_durably.ts",
    "if (found === fileId) return;",
    "return;",
    LOOKS,
  ],
  [
    "the id of what lost its name",
    "src/checkpoint/file/remove_durably.ts",
    "await requireFile(storage, temporary, path, fileId);",
    "",
    LOOKS,
  ],
  [
    "retention: the newest stays",
    RETENTION,
    'if (tag === context.newest) return keep("it is the newest");',
    "",
    RETAINED,
  ],
  [
    "retention: the best stays",
    RETENTION,
    "if (tag === bestTag) return keep(",
    "if (false) return keep(",
    RETAINED,
  ],
  [
    "retention: what the run was resumed from stays",
    RETENTION,
    'if (tag === context.resumedFrom) return keep("the run was resumed from it");',
    "",
    RETAINED,
  ],
  [
    "retention: what is leased stays",
    RETENTION,
    "if (holder !== undefined) return keep(",
    "if (false) return keep(",
    RETAINED,
  ],
  [
    "retention: leases are looked at again before the bytes go",
    RETENTION,
    "return holder === undefined;",
    "return true;",
    LEASES,
  ],
  [
    "canary of a copy",
    STORE_COPY,
    "&& seen.every((byte, index) => byte === pattern[index])",
    "",
    row("J3"),
  ],
  ["another canary for each copy", CANARY, "this.#patterns++;", "", row("J3")],
  ["errors of the GPU's copies", STORE_COPY, "if (failure !== undefined) {", "if (false) {", row("J1")],
  [
    "changes of tensors that are read themselves",
    STORE_COPY,
    "if (isStreamed) requireUnchanged();",
    "",
    row("C3"),
  ],
  ["errors of a read-back", READBACK, "await this.#throwFailure(failure);", "", RING],
  ["slots that were not allocated", READBACK, 'if (!("mappable" in step)) this.#dropSlots(step);', "", RING],
  [
    "first cause of an error of the GPU",
    "src/gpu/error_scopes.ts",
    'if (outOfMemory) return gpuFailure(label, "out_of_memory", outOfMemory);\n',
    "",
    ["tests/gpu/error_scopes_test.ts"],
  ],
  ["loss of the device before a commit", WRITER, "frozen.assertAlive();", "", ENGINES],
  [
    "memory of its own for a raw chunk that waits for a pool",
    READER,
    "raw: mayBeView ? raw : raw.slice(),",
    "raw,",
    POOLED,
  ],
  ["checksums in a pool's thread", DECODING, "  checkSum(stored, storedCrc);\n", "", POOLED],
  [
    "doubt about what an index names",
    "src/checkpoint/engine/part_sweep.ts",
    "if (!isComplete) return;\n    for (const part of parts) {",
    "for (const part of parts) {",
    SWEEP,
  ],
  [
    "parts of other runs",
    "src/checkpoint/engine/part_sweep.ts",
    "if (isStale || await runOf(storage, path) === owner.runId) ",
    "",
    SWEEP,
  ],
  [
    "a name that is taken, without hard links",
    FILES,
    'if (found !== undefined) throw hostError("EEXIST");',
    "",
    REAL,
  ],
  [
    "a name that a safetensors header has twice",
    "src/base/json_entries.ts",
    "if (keys.has(key)) throw",
    "if (false) throw",
    FOREIGN,
    "version of a name that repeats",
    "src/train/saves/run_directory.ts",
    "if (found.isOwn && found.tag === tag && await mayReplace(tag)) return",
    "if (found.isOwn && found.tag === tag) return",
    ["tests/train/saves/replacing_test.ts"],
  ],
  [
    "what keep protects from being replaced",
    REPLACING,
    "return plan.some((decision) => decision.tag === tag && !decision.keeps);",
    "return plan.length > 0;",
    ["tests/train/saves/replacing_test.ts"],
  ],
  [
    "name that is free again",
    "src/train/saves/run_directory.ts",
    "for (const gone of deleted) this.#taken?.delete(gone.toLowerCase());",
    "",
    ["tests/train/saves/replacing_test.ts"],
  ],
  [
    "mending of a name",
    NAMES,
    "if (isTag(tag) && !this.#isOtherNumber(tag)) return tag;",
    "if (tag !== undefined) return tag;",
    ["tests/train/saves/name_template_test.ts", "tests/train/train_loop_test.ts"],
  ],
  [
    "number that is no step",
    NAMES,
    "if (isTag(tag) && !this.#isOtherNumber(tag)) return tag;",
    "if (isTag(tag)) return tag;",
    ["tests/train/saves/name_template_test.ts"],
  ],
  [
    "checksum of a name that was cut",
    "src/checkpoint/file/tags.ts",
    "hexOf(crc32(new TextEncoder().encode(text)))",
    "hexOf(text.length)",
    ["tests/train/saves/name_template_test.ts"],
  ],
  [
    "run of which nothing was saved",
    "src/train/train_loop.ts",
    "    requireSomeSave(log, run.step);\n",
    "",
    ["tests/train/train_loop_test.ts"],
  ],
  [
    "origin of a caller's headers",
    HTTP,
    "if (next.origin !== from.origin) own = new Headers();",
    "",
    REQUESTS,
  ],
  ["bound of redirects", HTTP, "redirects <= MAX_REDIRECTS", "redirects < 100", REQUESTS],
  [
    "refusal of a redirect to no web address",
    HTTP,
    'if (next?.protocol === "http:" || next?.protocol === "https:") return next;',
    "if (next !== undefined) return next;",
    REQUESTS,
  ],
  [
    "time to wait for a byte",
    HTTP,
    "DEFAULT_TIMEOUT_MS = 30_000",
    "DEFAULT_TIMEOUT_MS = 3_000_000",
    REQUESTS,
  ],
  [
    "byte that a wait is for",
    "src/storage/http_range.ts",
    "if (value.byteLength > 0) heard();",
    "heard();",
    REQUESTS,
  ],
  ...NUMBER_MUTATIONS,
  ...BYTES_MUTATIONS,
  ...STATE_MUTATIONS,
  ...STEP_MUTATIONS,
  ...RESTORE_MUTATIONS,
  ...RANK_MUTATIONS,
  ...PARALLEL_MUTATIONS,
];
