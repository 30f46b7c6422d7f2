import { expect, test } from "bun:test";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { forged } from "./forge.ts";
import { mutate, mutateParts, tryAll } from "./mutations.ts";
import { FILE_ID, randomNumbers, sampleManifest, sampleTensors } from "./samples.ts";

// CAIRN_FUZZ_COUNT=1000000 for a long run, CAIRN_FUZZ_SEED to repeat one.
const COUNT = Number(process.env.CAIRN_FUZZ_COUNT ?? 6000);
const SEED = Number(process.env.CAIRN_FUZZ_SEED ?? 20261122);

for (const codec of ["raw", "deflate"] as const) {
  test(
    `no change to a file of the codec ${codec} makes the reader throw anything but a CairnError (L2)`,
    async () => {
      const tensors = sampleTensors();
      const file = await writeContainer({
        tensors,
        manifest: sampleManifest(),
        fileId: FILE_ID,
        codec,
        chunkBytes: 256,
      });
      let accepted = 0;
      for (let run = 0; run < COUNT; run++) {
        const next = randomNumbers(SEED + run);
        let changed = forged(file, (parts) => mutateParts(parts, next));
        if (next() < 0.2) changed = mutate(changed, next);
        try {
          if (await tryAll(changed)) accepted++;
        } catch (cause) {
          throw new Error(`codec ${codec}, CAIRN_FUZZ_SEED=${SEED + run} CAIRN_FUZZ_COUNT=1`, { cause });
        }
        if (({} as { polluted?: unknown }).polluted !== undefined) throw new Error("a prototype was changed");
      }
      // Some changes make another good file (a name, a number in the state). If most did, the reader would check too
      // little.
      console.log(`fuzz ${codec}: seed ${SEED}, ${COUNT} files, ${accepted} of them still good`);
      expect(accepted).toBeGreaterThan(0);
      expect(accepted).toBeLessThan(COUNT / 5);
    },
    600_000,
  );
}
