// One process of the tests: `evaluate <directory> <last step>` is an evaluator, `hold <directory> <tag>` takes a
// lease and stays.
import { createInterface } from "node:readline";
import { evaluateCheckpoints } from "../../../../src/checkpoint/keep/evaluators/evaluate_checkpoints.ts";
import { Lease } from "../../../../src/checkpoint/keep/evaluators/lease.ts";

const [what, directory = "", argument = ""] = process.argv.slice(2);

if (what === "evaluate") {
  const report = await evaluateCheckpoints(directory, {
    partition: "test",
    mode: "every",
    lastStep: Number(argument),
    pollMs: 50,
    timeoutMs: 300_000,
    evaluate: async (checkpoint) => console.log(JSON.stringify(await checkpoint.state())),
  });
  console.log(report.endedBy);
} else {
  await Lease.take(directory, argument);
  console.log("held");
  // Stays until it is killed, or the process that started it is gone.
  for await (const line of createInterface({ input: process.stdin })) if (line === "end") break;
}
