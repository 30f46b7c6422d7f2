// Steps of writing a save's bytes, from the GPU to the file, that `mutations.mjs` takes away; see `mutation_list.mjs`.

const READBACK_WRITER = "src/checkpoint/capture/readback_writer.ts";
const FROZEN = "src/checkpoint/capture/frozen_checkpoint.ts";
const ENCODING = ["tests/gpu_codec/gpu_encoding_test.ts"];

export const BYTES_MUTATIONS = [
  [
    "bytes: the lost device behind another error",
    READBACK_WRITER,
    "      await nextTurn();\n      this.#gpu.assertAlive();\n",
    "",
    ["tests/checkpoint/capture/readback_writer_test.ts"],
  ],
  [
    "bytes: whose lack of memory it is",
    READBACK_WRITER,
    "written === encoded && ",
    "",
    ENCODING,
  ],
  [
    "bytes: nothing is encoded that is cast",
    FROZEN,
    "isCast ? undefined : encoded && {",
    "encoded && {",
    ENCODING,
  ],
  [
    "bytes: nothing more of what was released",
    FROZEN,
    "      this.#requireHeld();\n      listener?.onRead(byteLength);\n",
    "      listener?.onRead(byteLength);\n",
    ["tests/checkpoint/deepspeed_rows_test.ts"],
  ],
  [
    "bytes: turns of the event loop while a file is written",
    "src/storage/durable_file.ts",
    "    await this.#breather.breathe();\n",
    "",
    ["tests/storage/durable_file_test.ts"],
  ],
  [
    "bytes: the checksum that an index pins",
    "src/container/write/container_writer.ts",
    "this.#report(trailerChecksum(tail.subarray(-TRAILER_BYTES)))",
    "this.#report(0)",
    ["tests/container/write/container_writer_test.ts"],
  ],
];
