import process from "node:process";
import { CairnError } from "../../../src/base/errors.ts";
import { CommitInfo } from "../../../src/checkpoint/engine/commit_info.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { rowsOfRank } from "../../../src/checkpoint/file/parts/rank_view.ts";
import { saveByRanks } from "../../../src/checkpoint/ranks/save_by_ranks.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { frozenTensors } from "../file/parts/frozen_tensors.ts";

// One rank of several, in a process of its own: saves steps and says which of them are committed.

const [directory = "", rankText = "", worldText = "", firstText = "", lastText = "", timeoutText = ""] =
  process
    .argv.slice(2);
const [rank, worldSize, first, last] = [rankText, worldText, firstText, lastText].map(Number) as [
  number,
  number,
  number,
  number,
];
const engine = await FileEngine.open(directory, { runId: "0123456789abcdef0123456789abcdef" });
for (let step = first; step <= last; step++) {
  const rows = rowsOfRank(64, rank, worldSize);
  const numbers = new Float32Array((rows.end - rows.start) * 4).fill(step);
  const saving = saveByRanks({
    engine,
    info: CommitInfo.of(step),
    overwrite: false,
    frozen: frozenTensors({
      "model.w": HostTensor.from([step, step]),
      "model.table": HostTensor.fromBytes(new Uint8Array(numbers.buffer), "f32", [rows.end - rows.start, 4]),
    }, { state: { rank, step }, provenance: { step } }),
    ranks: {
      rank,
      worldSize,
      replicated: ["model.w"],
      sharded: { "model.table": rows },
      pollMs: 5,
      // The other processes have to start first.
      timeoutMs: step === first ? 60_000 : Number(timeoutText),
    },
  });
  await saving.catch((error: unknown) => {
    if (error instanceof CairnError) console.error(error.code);
    throw error;
  });
  console.log(`COMMIT ${step}`);
}
