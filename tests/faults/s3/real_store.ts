import process from "node:process";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { engineConformance } from "../../../src/checkpoint/compose/engine_conformance.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { S3Client } from "../../../src/storage/s3/s3_client.ts";
import { parseS3Location } from "../../../src/storage/s3/s3_location.ts";
import type { S3Options } from "../../../src/storage/s3/s3_options.ts";
import { S3Storage } from "../../../src/storage/s3/s3_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { saveStep, stateOf, stepOfState } from "../engine/runs.ts";

const WRITERS = 8;
const BUCKET = "cairn-faults";

/** Row S7: a real server, whose address is in `CAIRN_S3_ENDPOINT`; it may be lost afterwards. */
export async function realStore(campaign: Campaign): Promise<void> {
  const endpoint = process.env["CAIRN_S3_ENDPOINT"];
  if (endpoint === undefined) return campaign.skip("S7: no server; CAIRN_S3_ENDPOINT says where one is");
  const options: S3Options = { endpoint, credentials: { accessKeyId: "test", secretAccessKey: "test" } };
  await campaign.row(
    "S7",
    "the same protocol on a real server: engines, races, a file in pieces",
    async (row) => {
      const bucket = new S3Client(parseS3Location(`s3://${BUCKET}`), options);
      await bucket.once({ method: "PUT" });
      let places = 0;
      const run = `run-${Date.now()}`;
      const engines = new WeakMap<object, string>();
      const open = async (location: string): Promise<FileEngine> => {
        const engine = await FileEngine.open(await S3Storage.open(location, options), { verifyEvery: 1 });
        engines.set(engine, location);
        return engine;
      };
      const fresh = (): string => `s3://${BUCKET}/${run}/${places++} with ä+space`;
      const checks = engineConformance({
        open: () => open(fresh()),
        reopen: (engine) => open(engines.get(engine) ?? fresh()),
      });
      for (const { name, run } of checks) {
        row.point();
        await run().catch((error: unknown) => row.fail(`${name}: ${error}`));
      }
      for (let round = 0; round < 5; round++) {
        await race(
          row,
          () => open(`s3://${BUCKET}/${run}/race-${round}`),
        );
      }
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
