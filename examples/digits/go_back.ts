import { type HostTensor, TensorStore, Trainer } from "@cairn-ml/cairn";
import { digitsRun } from "./digits_run.ts";
import { runtimeName } from "../kills/runtime.ts";

const EVERY_STEPS = 50;

/**
 * Trains with a checkpoint every 50 steps and keeps the tensors of step `step` on the way. Then it goes back there, and
 * on to the end once more, and compares both bit by bit. Gives what was not as it had been.
 */
export async function goBack(step: number, seed: number, directory: string): Promise<string[]> {
  if (!Number.isSafeInteger(step) || step < 1) throw new RangeError(`--goto is a step from 1, found ${step}`);
  const end = Math.max(200, EVERY_STEPS * Math.ceil((step + 1) / EVERY_STEPS));
  const store = await TensorStore.open();
  const trainer = new Trainer(store, await digitsRun(seed));
  trainer.autoSave({ savePath: directory, everySteps: EVERY_STEPS });
  const readAll = () => store.read(store.tensors().map(({ name }) => name));

  console.log(
    `\n1. ${end} steps, with a checkpoint every ${EVERY_STEPS}; the tensors of step ${step} are kept aside`,
  );
  let atStep = new Map<string, HostTensor>();
  await trainer.train({
    steps: end,
    progress: false,
    onStep: async ({ step: done }) => {
      if (done === step) atStep = await readAll();
    },
  });
  const [losses, atEnd] = [trainer.history.loss, await readAll()];

  console.log(`2. goto(${step})`);
  const start = performance.now();
  const { from, checkpoint } = await trainer.goto(step);
  const ms = Math.round(performance.now() - start);
  const begin = checkpoint === null ? "the weights of the seed" : `"${checkpoint}"`;
  console.log(`   from ${begin}, ${step - from} steps done again, ${ms} ms`);
  const thereAgain = await readAll();

  console.log(`3. on to step ${end} once more`);
  await trainer.train({ steps: end, progress: false });
  const differences = [
    ...differencesOf(`step ${step}`, atStep, thereAgain),
    ...differencesOf(`step ${end}`, atEnd, await readAll()),
  ];
  if (!sameBytes(new Uint8Array(losses.buffer), new Uint8Array(trainer.history.loss.buffer))) {
    differences.push("losses");
  }
  console.log(`\n   ${atStep.size} tensors of the steps ${step} and ${end}, and ${losses.length} losses`);
  for (const difference of differences) console.log(`   differs: ${difference}`);
  console.log(`   bit-identical: ${differences.length === 0 ? "yes" : "NO"}`);
  await trainer.close();
  await store.close();
  const bitIdentical = differences.length === 0;
  console.log(JSON.stringify({ demo: "goto", runtime: runtimeName(), step, from, end, ms, bitIdentical }));
  return differences;
}

function differencesOf(
  when: string,
  a: ReadonlyMap<string, HostTensor>,
  b: ReadonlyMap<string, HostTensor>,
): string[] {
  return [...new Set([...a.keys(), ...b.keys()])]
    .filter((name) => !sameBytes(a.get(name)?.bytes, b.get(name)?.bytes))
    .map((name) => `"${name}" of ${when}`);
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && a.byteLength === b.byteLength &&
    a.every((byte, at) => byte === b[at]);
}
