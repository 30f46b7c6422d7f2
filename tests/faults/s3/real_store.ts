import { NO_MOTO } from "../../../tools/moto.mjs";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { engineConformance } from "../../../src/checkpoint/compose/engine_conformance.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { S3Storage } from "../../../src/storage/s3/s3_storage.ts";
import { realS3 } from "../../helpers/real_s3.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { saveStep, stateOf, stepOfState } from "../engine/runs.ts";

const WRITERS = 8;

/** Row S7: a real server, the one in `CAIRN_S3_ENDPOINT` or one that is started. */
export async function realStore(campaign: Campaign): Promise<void> {
  const s3 = await realS3();
  if (s3 === undefined) return campaign.skip(`S7: ${NO_MOTO}`);
  await campaign.row(
    "S7",
    "the same protocol on a real server: engines, races, a file in pieces",
    async (row) => {
      let places = 0;
      const locations = new WeakMap<object, string>();
      const open = async (location: string): Promise<FileEngine> => {
        const storage = await S3Storage.open(location, s3.options);
        const engine = await FileEngine.open(storage, { verifyEvery: 1 });
        locations.set(engine, location);
        return engine;
      };
      const fresh = (): string => `s3://${s3.bucket}/${places++} with ä+space`;
      const checks = engineConformance({
        open: () => open(fresh()),
        reopen: (engine) => open(locations.get(engine) ?? fresh()),
      });
      for (const { name, run } of checks) {
        row.point();
        await run().catch((error: unknown) => row.fail(`${name}: ${error}`));
      }
      for (let round = 0; round < 5; round++) await race(row, () => open(`s3://${s3.bucket}/race-${round}`));
      await inPieces(row, await open(fresh()));
    },
  );
}

async function race(row: RowRecorder, open: () => Promise<FileEngine>): Promise<void> {
  row.point();
  const engines = await Promise.all(Array.from({ length: WRITERS }, open));
  await Promise.all(engines.map((engine, writer) => saveStep(engine, writer + 1)));
  const tags = await (await open()).list();
  if (tags.length !== WRITERS) row.fail(`${WRITERS} writers left ${tags.join(", ")}`);
}

async function inPieces(row: RowRecorder, engine: FileEngine): Promise<void> {
  row.point();
  const large = new Float32Array(5 << 20).fill(7);
  await engine.create("large");
  await engine.save({ state: { ...stateOf(7), large } });
  await engine.commit("large");
  const { checkpoint } = await recover(engine);
  const state = await checkpoint?.state() as { large?: Float32Array } | undefined;
  await checkpoint?.close();
  if (stepOfState(state) !== 7 || state?.large?.every((value) => value === 7) !== true) {
    row.fail("another state");
  }
}
