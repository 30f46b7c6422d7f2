// Steps of trainings on several ranks, and of groups over MPI, that `mutations.mjs` takes away; see `mutation_list.mjs`.

const PARALLEL = "src/parallel/";
const MPI = "src/mpi/";
const MAILBOX = MPI + "mpi_mailbox.ts";

const TREES = ["tests/parallel/sum_tree_test.ts"];
const AGREEMENTS = ["tests/parallel/agreement_test.ts"];
const ALIKE = ["tests/parallel/alike_test.ts"];
const EXCHANGES = ["tests/parallel/exchange_test.ts"];
const MAILBOXES = ["tests/mpi/mpi_mailbox_test.ts"];
const POSTS = ["tests/mpi/thread/post_test.ts"];
/** One test of trainings in one process. */
const bits = (name) => ["tests/train/parallel/same_bits_test.ts", "-t", name];
const ranks = (name) => ["tests/train/parallel/ranks_test.ts", "-t", name];
/** How jobs under mpiexec end. */
const JOBS = ["tests/faults/short_test.ts", "-t", "end all ranks of MPI"];

export const PARALLEL_MUTATIONS = [
  [
    "halves that join in the tree over shards",
    PARALLEL + "sum_tree.ts",
    "    while (areHalves(open.at(-2), open.at(-1))) join();\n",
    "",
    TREES,
  ],
  [
    "beginning of the halves of a node",
    PARALLEL + "sum_tree.ts",
    "left.first % (2 * left.count) === 0 && left.first",
    "left.first",
    EXCHANGES,
  ],
  [
    "shards that a batch of few examples has",
    PARALLEL + "shard_reduction.ts",
    "Math.min(first + size, count)",
    "first + size",
    EXCHANGES,
  ],
  [
    "whole numbers in a rank's part of a sum",
    PARALLEL + "exchange.ts",
    "Math.max(0, piece.integersFrom - first / 4)",
    "piece.integersFrom",
    EXCHANGES,
  ],
  [
    "place of a shard's examples in the batch",
    "src/train/step/shard_step.ts",
    "scalars: { ...scalars, firstExample: shard.first },",
    "scalars,",
    bits("is the run of the whole batch"),
  ],
  [
    "same step on all ranks",
    PARALLEL + "agreement.ts",
    "      if (found !== step) throw otherStep(rank, found, step);\n",
    "",
    AGREEMENTS,
  ],
  [
    "wish of another rank",
    PARALLEL + "agreement.ts",
    "      this.#flags |= view.getUint32(4, true);\n",
    "",
    AGREEMENTS,
  ],
  [
    "wishes of the training before",
    PARALLEL + "agreement.ts",
    "this.#wish = wish;\n    this.#flags = 0;\n",
    "this.#wish = wish;\n",
    AGREEMENTS,
  ],
  [
    "comparison of what ranks train",
    PARALLEL + "alike.ts",
    "if (differences.length === 0) return;",
    "return;",
    ALIKE,
  ],
  [
    "word to the others that rank 0 could not do it",
    PARALLEL + "first_rank.ts",
    "    await group.broadcast(0, await encodeState({ failure: failureOf(error) }));\n",
    "",
    ALIKE,
  ],
  [
    "a shard at least for each rank",
    PARALLEL + "data_parallel_options.ts",
    "if (group.size <= shards) return;",
    "return;",
    ["tests/parallel/data_parallel_options_test.ts"],
  ],
  [
    "weights of rank 0 for all",
    "src/train/ranks/share_run.ts",
    "run.store.gpu.write(buffer, offset, await group.broadcast(0));",
    "void [buffer, offset, await group.broadcast(0)];",
    ranks("begin with the weights of rank 0"),
  ],
  [
    "end of the group where one rank throws",
    "src/train/training.ts",
    "        await agreement?.giveUp(error);\n",
    "",
    ranks("all end where one throws"),
  ],
  [
    "signal that another rank got",
    "src/train/agreed_interrupts.ts",
    'return end === "stop" ? undefined : end;',
    "void end;\n    return this.#own?.received;",
    ["tests/train/parallel/processes_test.ts"],
  ],
  [
    "end of a process that has not closed its group",
    MPI + "exit_guard.ts",
    '  process.on("exit", end);\n',
    "",
    JOBS,
  ],
  [
    "code of a job of which a rank exits with 0",
    MPI + "exit_guard.ts",
    "code || EXIT_NOT_CLOSED",
    "code",
    JOBS,
  ],
  [
    "other ranks that one which exits waits for",
    MPI + "exit_guard.ts",
    "    thread.waitUntilLeft(guard.leavingMs);\n",
    "",
    JOBS,
  ],
  [
    "signals that UCX is to leave alone",
    MPI + "begin.ts",
    "  for (const [variable, value] of Object.entries(QUIET)) setVariable(foreign, libc, variable, value);\n",
    "",
    JOBS,
  ],
  [
    "number of processes that the launcher has started",
    MPI + "mpi_session.ts",
    "if (launcher === undefined || launcher.size === size) return session;",
    "return session;",
    ["tests/mpi/library_test.ts"],
  ],
  [
    "reports that come before somebody listens",
    MPI + "reports.ts",
    "this.#listener = (later) => void this.#kept.push(later);",
    "this.#listener = () => {};",
    ["tests/mpi/reports_test.ts"],
  ],
  [
    "ranks that have not taken what was lent",
    MAILBOX,
    "    for (const rank of to) this.#holding.set(rank, (this.#holding.get(rank) ?? 0) + 1);\n",
    "",
    MAILBOXES,
  ],
  [
    "failure of another rank of MPI",
    MAILBOX,
    "    for (const [rank, failure] of this.#failures) throw rankFailed(rank, failure);\n",
    "",
    MAILBOXES,
  ],
  [
    "rank of MPI that has closed the group",
    MAILBOX,
    "    if (gone !== undefined) throw rankClosed(gone);\n",
    "",
    MAILBOXES,
  ],
  [
    "failure of MPI while a call waits",
    MAILBOX,
    "return found;\n    this.#carrier.check();\n",
    "return found;\n",
    MAILBOXES,
  ],
  [
    "length of a reason",
    MAILBOX,
    ".subarray(0, mostBytes)",
    "",
    MAILBOXES,
  ],
  [
    "pieces of a message that MPI cannot count",
    MPI + "thread/post.ts",
    "Math.min(cutBytes, body.byteLength - at)",
    "body.byteLength - at",
    POSTS,
  ],
  [
    "messages on their way when all leave",
    MPI + "thread/post.ts",
    "leaving.size === others.length && underWay === 0",
    "leaving.size === others.length",
    POSTS,
  ],
  [
    "ranks that have not left",
    MPI + "thread/post.ts",
    "isLeaving && leaving.size === others.length",
    "isLeaving",
    POSTS,
  ],
  [
    "version of another rank",
    MPI + "thread/heads.ts",
    "if (view.getUint32(0, true) !== MAGIC) {",
    "if (false) {",
    POSTS,
  ],
];
