import process from "node:process";
import { describe, expect } from "bun:test";
import { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import { S3Client } from "../../src/storage/s3/s3_client.ts";
import { parseS3Location } from "../../src/storage/s3/s3_location.ts";
import { getObject, listObjects, putObject } from "../../src/storage/s3/s3_objects.ts";
import { openStorage } from "../../src/storage/open_storage.ts";
import { type RealS3, realS3Test } from "../helpers/real_s3.ts";
import { SECRETS } from "../helpers/s3_fixture.ts";
import { type Captured, run } from "./captured.ts";

/** Credentials and the server are in the environment, as they are for whoever types the command. */
async function withEnvironment(s3: RealS3, body: (location: string) => Promise<void>): Promise<void> {
  const [id = "", secret = ""] = SECRETS;
  const set = { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_ENDPOINT_URL_S3: s3.endpoint };
  const before = Object.keys(set).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, set);
  try {
    await body(`s3://${s3.bucket}/runs`);
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

async function saveSteps(location: string, steps: readonly number[]): Promise<void> {
  const engine = await FileEngine.open(await openStorage(location));
  for (const step of steps) {
    await engine.create(step);
    await engine.save({
      state: { weights: Float32Array.of(step, 1) },
      provenance: { step, savedBy: "auto" },
    });
    await engine.commit(step);
  }
}

/** Turns one bit of one of the objects with the bytes of a file. */
async function damageOne({ bucket, options }: RealS3): Promise<void> {
  const client = new S3Client(parseS3Location(`s3://${bucket}/runs`), options);
  const [{ key } = { key: "" }] = (await listObjects(client, "data/")).objects;
  const bytes = new Uint8Array(await getObject(client, key) ?? []);
  bytes[bytes.byteLength >> 1] = (bytes[bytes.byteLength >> 1] ?? 0) ^ 1;
  await putObject(client, key, bytes);
}

function jsonOf({ code, text, notes }: Captured, expected = 0): unknown {
  expect([code, notes]).toEqual([expected, ""]);
  return JSON.parse(text);
}

describe("the command, on a bucket", () => {
  realS3Test(
    "ls lists a run, and each run of several below a prefix",
    (s3) =>
      withEnvironment(s3, async (location) => {
        await saveSteps(`${location}/a`, [100, 200]);
        await saveSteps(`${location}/b`, [7]);
        const tagsOf = async (where: string): Promise<unknown> =>
          (jsonOf(await run(["ls", where, "--json"])) as { checkpoints: { tag: string }[] }[]).map((each) =>
            each.checkpoints.map(({ tag }) => tag)
          );
        expect(await tagsOf(`${location}/a`)).toEqual([["100", "200"]]);
        expect(await tagsOf(location)).toEqual([["100", "200"], ["7"]]);
        expect((await run(["ls", `${location}/`])).text).toContain(`${location}/b`);
      }),
  );

  realS3Test(
    "inspect shows the newest checkpoint of a prefix, or the one that is named",
    (s3) =>
      withEnvironment(s3, async (location) => {
        await saveSteps(location, [1, 2]);
        const shown = async (where: string): Promise<unknown> =>
          (jsonOf(await run(["inspect", where, "--json"])) as { provenance: { step: number } }).provenance
            .step;
        expect(await shown(location)).toBe(2);
        expect(await shown(`${location}/1.cairn`)).toBe(1);
        expect(await shown(`${location}/1`)).toBe(1);
      }),
  );

  realS3Test(
    "verify reads all of a prefix and names what is damaged",
    (s3) =>
      withEnvironment(s3, async (location) => {
        await saveSteps(location, [1, 2]);
        expect(jsonOf(await run(["verify", location, "--json"]))).toMatchObject([
          { file: `${location}/1.cairn`, status: "ok" },
          { file: `${location}/2.cairn`, status: "ok" },
        ]);
        await damageOne(s3);
        const statuses = jsonOf(await run(["verify", location, "--json"]), 1) as { status: string }[];
        expect(statuses.map(({ status }) => status).sort()).toEqual(["damaged", "ok"]);
      }),
  );

  realS3Test("prune deletes in a bucket what its plan says", (s3) =>
    withEnvironment(s3, async (location) => {
      await saveSteps(location, [1, 2, 3]);
      const keepLast = ["prune", location, "--keep", "last=1"];
      expect((await run(keepLast)).text).toContain("delete");
      const list = async (): Promise<string[]> => await (await FileEngine.open(location)).list();
      expect(await list()).toEqual(["1", "2", "3"]);
      expect((await run([...keepLast, "--yes"])).code).toBe(0);
      expect(await list()).toEqual(["3"]);
    }));

  realS3Test(
    "says what is not there, what it cannot do, and that credentials are missing",
    (s3) =>
      withEnvironment(s3, async (location) => {
        const said = async (...args: string[]): Promise<string> => {
          const { code, notes } = await run(args);
          expect(code).toBe(2);
          return notes;
        };
        expect(await said("inspect", `${location}/none`)).toContain(`There is no "${location}/none"`);
        expect(await said("inspect", "s3://no-such-bucket/run")).toContain("check the name and the bucket");
        expect(await said("convert", "a.cairn", `${location}/a.npz`)).toContain("name a path");
        expect(await said("serve", location)).toContain("it is in a bucket");
        expect(await said("bench", location)).toContain("expected a directory of a disk");
        delete process.env["AWS_SECRET_ACCESS_KEY"];
        expect(await said("ls", location)).toContain("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
      }),
  );
});
