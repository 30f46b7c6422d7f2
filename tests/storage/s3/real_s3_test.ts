import { describe, expect } from "bun:test";
import { engineConformance } from "../../../src/checkpoint/compose/engine_conformance.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { S3Storage } from "../../../src/storage/s3/s3_storage.ts";
import { type RealS3, realS3Test } from "../../helpers/real_s3.ts";

describe("S3Storage on a real server", () => {
  const locations = new WeakMap<FileEngine, string>();
  let places = 0;
  const open = async ({ options }: RealS3, location: string): Promise<FileEngine> => {
    const engine = await FileEngine.open(await S3Storage.open(location, options), { chunkBytes: 4096 });
    locations.set(engine, location);
    return engine;
  };
  // The checks are the same whatever they are opened on.
  const names = engineConformance({ open: () => Promise.reject(new Error("never opened")) }).map(({ name }) =>
    name
  );
  for (const [index, name] of names.entries()) {
    realS3Test(name, async (s3) => {
      const fresh = (): string => `s3://${s3.bucket}/with ä+space/${places++}`;
      const checks = engineConformance({
        open: () => open(s3, fresh()),
        reopen: (engine) => open(s3, locations.get(engine as FileEngine) ?? fresh()),
      });
      await checks[index]?.run();
    });
  }

  realS3Test("of writers that race, all are committed", async (s3) => {
    const location = `s3://${s3.bucket}/race`;
    const save = async (writer: number): Promise<void> => {
      const engine = await open(s3, location);
      await engine.create(`writer-${writer}`);
      await engine.save({ state: { writer } });
      await engine.commit(`writer-${writer}`);
    };
    const writers = [1, 2, 3, 4];
    await Promise.all(writers.map(save));
    expect(await (await open(s3, location)).list()).toEqual(writers.map((writer) => `writer-${writer}`));
  });
});
