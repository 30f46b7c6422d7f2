// Steps of groups of ranks and of what they save together that `mutations.mjs` takes away; see `mutation_list.mjs`.

const WRITER = "src/checkpoint/engine/file_writer.ts";
const RANKS = "src/checkpoint/ranks/";
const OVER = RANKS + "over_directory/";

const WRITERS = ["tests/checkpoint/ranks/writers_test.ts"];
const OTHERS = ["tests/checkpoint/ranks/other_rank_test.ts"];
const SAVES = ["tests/checkpoint/ranks/save_by_ranks_test.ts"];
const GROUPS = ["tests/checkpoint/ranks/process_group_test.ts"];
const IN_GROUPS = ["tests/checkpoint/ranks/save_in_group_test.ts"];
const MEETINGS = ["tests/checkpoint/ranks/over_directory/rendezvous_test.ts"];
const LETTERS = ["tests/checkpoint/ranks/over_directory/directory_mailbox_test.ts"];
const SHARING = ["tests/train/parallel/optimizer_sharding_test.ts"];
const REFUSALS = ["tests/checkpoint/ranks/over_directory/refusal_test.ts"];

export const RANK_MUTATIONS = [
  [
    "share of a rank in what the optimiser has",
    "src/train/step/parameter_rules.ts",
    "(rank === undefined || this.owners?.of(name) === rank)",
    "true",
    SHARING,
  ],
  [
    "parameters of all ranks that change at once",
    "src/train/step/shard_step.ts",
    "    parameterOf: parameters && ((name) => parameters.of(name)),\n",
    "",
    SHARING,
  ],
  [
    "what a rank keeps of the optimiser, from rank 0 at a load",
    "src/train/ranks/moment_loads.ts",
    "      if (rank === group.rank) await own.write(index, bytes);\n",
    "",
    SHARING,
  ],
  [
    "lock of the first rank, before another rank's part",
    WRITER,
    "await this.#locks.requireHeldBy(runId, directory);",
    "",
    WRITERS,
  ],
  [
    "room for a rank's part",
    WRITER,
    "await this.#requireSpace(info, [tensorsOfPart(frozen.tensors, plan)], options, nothing);",
    "",
    WRITERS,
  ],
  [
    "lock that is still held at the commit of all ranks' parts",
    "src/checkpoint/engine/lock/directory_locks.ts",
    "await this.#held.get(directory)?.assertHeld();",
    "",
    WRITERS,
  ],
  [
    "refusal of the other ranks",
    OVER + "directory_group.ts",
    "      await refuseOthers(seat, error).catch(() => {});\n",
    "",
    REFUSALS,
  ],
  [
    "create of rank 0 before the ranks meet",
    RANKS + "save_by_ranks.ts",
    "      await engine.create(info, { overwrite });\n      isCreated = true;",
    "      isCreated = true;",
    WRITERS,
  ],
  [
    "nonce of the rank that was welcomed",
    OVER + "rendezvous.ts",
    'if (welcome?.nonces[rank] === nonce) return "welcome";',
    'if (welcome !== undefined) return "welcome";',
    MEETINGS,
  ],
  [
    "nonce of the rank that is told that rank 0 gave up",
    OVER + "rendezvous.ts",
    "if (givenUp?.nonces.includes(nonce)) throw",
    "if (givenUp !== undefined) throw",
    MEETINGS,
  ],
  [
    "word to the ranks that came when another one is missing",
    OVER + "rendezvous.ts",
    "    await messages.send(MESSAGE.givenUp(session), asState({ ...failureOf(error), nonces })).catch(() => {});\n",
    "",
    MEETINGS,
  ],
  [
    "same number of ranks on all of them",
    OVER + "rendezvous.ts",
    "      requireOneSize(size, answer);\n",
    "",
    MEETINGS,
  ],
  [
    "leftovers of other groups of ranks",
    OVER + "rendezvous.ts",
    "    await messages.clear((name) => name !== MESSAGE.call && !name.startsWith(session));\n",
    "",
    MEETINGS,
  ],
  [
    "other ranks of a rank 0 that begins anew",
    OVER + "directory_mailbox.ts",
    "const isAnew = this.rank !== 0 && await",
    "const isAnew = false && await",
    MEETINGS,
  ],
  [
    "letter of a rank that a list shows as closed",
    OVER + "directory_mailbox.ts",
    "const letter = await this.#read(number, rank);\n",
    "const letter = undefined;\n",
    LETTERS,
  ],
  [
    "letters that all ranks have",
    RANKS + "mailbox_group.ts",
    "    await this.#mailbox.forget(call.number);\n",
    "",
    LETTERS,
  ],
  [
    "last rank that clears the group away",
    OVER + "directory_mailbox.ts",
    "if (isLast) await",
    "if (false) await",
    GROUPS,
  ],
  [
    "ranks that a root of broadcasts waits for",
    RANKS + "mailbox_group.ts",
    "if (++this.#broadcastsInARow > MOST_BROADCASTS) {",
    "if (++this.#broadcastsInARow > 1000) {",
    LETTERS,
  ],
  [
    "end of the group for a rank whose call failed",
    RANKS + "mailbox_group.ts",
    "      this.#over.abort(error);\n      throw error;",
    "      throw error;",
    GROUPS,
  ],
  [
    "word to all ranks of an abort",
    RANKS + "mailbox_group.ts",
    "    await this.#mailbox.abort(failure).catch(() => {});\n",
    "",
    GROUPS,
  ],
  [
    "same call on all ranks",
    RANKS + "mailbox_group.ts",
    "        requireSameCall(call, rank, letter.call);\n",
    "",
    GROUPS,
  ],
  [
    "index that says whether rank 0 has committed",
    RANKS + "other_rank.ts",
    "if (!named.some(({ fileId }) => fileId === record.fileId)) {",
    "{",
    IN_GROUPS,
  ],
  [
    "part of a rank that may still be committed",
    RANKS + "other_rank.ts",
    "if (talk.hasFirstGivenUp) await",
    "await",
    IN_GROUPS,
  ],
  [
    "part of a rank that rank 0 has given up",
    RANKS + "other_rank.ts",
    "if (talk.hasFirstGivenUp) await",
    "if (false) await",
    SAVES,
  ],
  [
    "cause of a save that a rank begins again",
    OVER + "directory_group.ts",
    "if (!isCausedBy(error, mailbox.calledAgain)) throw error;",
    "throw error;",
    OTHERS,
  ],
  [
    "turn of a rank whose part failed",
    RANKS + "other_rank.ts",
    '    await talk.say<"done">({ failure: failureOf(error) }, "finish its part").catch(() => {});\n',
    "",
    IN_GROUPS,
  ],
  [
    "turn of rank 0 when it gives up",
    RANKS + "rank_talk.ts",
    "      if (!this.#isRankZeroToTell) await this.#hearBytes();\n",
    "",
    IN_GROUPS,
  ],
];
