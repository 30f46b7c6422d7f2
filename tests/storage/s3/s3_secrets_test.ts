import { inspect } from "node:util";
import { describe, expect, test } from "bun:test";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { retain } from "../../../src/checkpoint/keep/retention/retention.ts";
import { HttpSource } from "../../../src/storage/http_source.ts";
import { openStorage } from "../../../src/storage/open_storage.ts";
import { S3Storage } from "../../../src/storage/s3/s3_storage.ts";
import { FakeS3 } from "../../helpers/fake_s3.ts";
import type { FakeRequest } from "../../helpers/faulty_s3.ts";
import { s3On, SECRETS } from "../../helpers/s3_fixture.ts";
import { thrownBy } from "../../helpers/thrown.ts";

/** All that a request has that nobody else may see, as a text may show it. */
function secretsOf({ headers }: FakeRequest): string[] {
  const authorization = headers.get("authorization") ?? "";
  const signature = /Signature=([0-9a-f]+)/.exec(authorization)?.[1] ?? "";
  return [...SECRETS, ...SECRETS.map(encodeURIComponent), authorization, signature];
}

/** What a store or a proxy may say back: everything. */
function echoOf(request: FakeRequest): string {
  const [id = "", , token = ""] = SECRETS.map(encodeURIComponent);
  const [signature] = secretsOf(request).slice(-1);
  const signed =
    `X-Amz-Credential=${id}%2F20260101&X-Amz-Security-Token=${token}&X-Amz-Signature=${signature}`;
  return [
    ...secretsOf(request),
    ...[...request.headers].map(([name, value]) => `${name}: ${value}`),
    `https://${SECRETS[0]}:${SECRETS[1]}@host/object?${signed}`,
  ].join("\n");
}

/** How a request ends that tells them. */
const ENDS: Readonly<Record<string, (store: FakeS3, request: FakeRequest) => Response>> = {
  "a refusal": (store, request) => store.error(403, `SignatureDoesNotMatch ${echoOf(request)}`),
  "a refusal that may pass": (store, request) => store.error(503, `SlowDown ${echoOf(request)}`),
  "an error in a body that says 200": (store, request) =>
    new Response(store.error(200, `InternalError ${echoOf(request)}`).body, { status: 200 }),
  "a redirect": (_, request) =>
    new Response(null, {
      status: 307,
      headers: { location: `https://elsewhere/?${encodeURI(echoOf(request))}` },
    }),
  "something else": (_, request) => new Response(echoOf(request), { status: 418 }),
  "an error of the network": (_, request) => {
    throw new TypeError(`error sending ${echoOf(request)}`);
  },
};

/** All that can be done in a bucket, one thing after the other; what it throws and what it says. */
async function everything(store: FakeS3): Promise<unknown[]> {
  const said: unknown[] = [];
  const storage = await s3On(store, { partBytes: 5 << 20 });
  const engine = await FileEngine.open(storage, { codec: "raw", verifyEvery: 1, exclusive: true });
  const step = async (work: () => Promise<unknown>): Promise<void> => {
    said.push(await work().catch((error: unknown) => error));
  };
  const save = async (tag: string, values: number): Promise<void> => {
    await engine.create(tag);
    await engine.save({ state: { values: new Float32Array(values).map((_, i) => Math.sin(i)) } });
    await engine.commit(tag);
  };
  await step(() => save("1", 100));
  await engine.abort();
  await step(() => save("2", 1_500_000));
  await engine.abort();
  await step(() => engine.load("1").then((checkpoint) => checkpoint.state()));
  await step(() => engine.catalog());
  await step(() => recover(engine));
  await step(() => retain(engine, "2", { last: 1 }));
  await step(() => engine.remove("1"));
  await step(() => storage.collect());
  await step(() => storage.below());
  await engine.cleanup();
  return [...said, storage, engine];
}

/** What was said with everything that an object shows, its causes too. */
function shown(said: readonly unknown[]): string {
  const errors: string[] = [];
  for (const each of said) {
    for (let error = each; error instanceof Error; error = error.cause) {
      errors.push(error.message, error.stack ?? "", JSON.stringify({ ...error }));
    }
  }
  return [...errors, inspect(said, { depth: 20, showHidden: true, maxStringLength: null })].join("\n");
}

describe("no secret is told", () => {
  for (const [kind, end] of Object.entries(ENDS)) {
    test(`by ${kind}, at any request of all that can be done`, async () => {
      const names = ["log", "warn", "error", "info", "debug"] as const;
      const before = names.map((name) => console[name]);
      let logged = 0;
      for (const name of names) console[name] = () => void logged++;
      try {
        let asked = 0;
        for (let at = 0;; at += 7) {
          const store = new FakeS3();
          const secrets = new Set<string>();
          let isReached = false;
          store.faults.before = (request) => {
            for (const secret of secretsOf(request)) secrets.add(secret);
            // From here on, so that repeating does not help.
            if (request.index < at) return undefined;
            isReached = true;
            return end(store, request);
          };
          const text = shown(await everything(store));
          if (!isReached) break;
          asked++;
          expect([at, [...secrets].filter((secret) => secret !== "" && text.includes(secret))]).toEqual([
            at,
            [],
          ]);
        }
        expect(asked).toBeGreaterThan(5);
        expect(logged).toBe(0);
      } finally {
        for (const [index, name] of names.entries()) console[name] = before[index] ?? console.log;
      }
    });
  }

  test("after credentials were renewed, neither the old ones nor the new ones", async () => {
    const store = new FakeS3();
    let count = 0;
    const storage = await s3On(store, {
      credentials: () => ({
        accessKeyId: `id-${++count}-of-many`,
        secretAccessKey: `secret-${count}-of-many`,
      }),
    });
    store.faults.before = () => store.error(403, "secret-1-of-many id-1-of-many secret-2-of-many");
    await thrownBy(() => storage.list(""));
    const error = await thrownBy(() => storage.list(""));
    expect(shown([error, storage])).not.toMatch(/(secret|id)-\d+-of-many/);
  });

  test("by a location, an endpoint or an address that has them in it", async () => {
    const secret = "se/cr+et";
    const signed = "X-Amz-Credential=AKIDX&X-Amz-Signature=0f0f0f";
    const said = [
      await thrownBy(() => S3Storage.open(`s3://AKIDX:${secret}@bucket/runs`)),
      await thrownBy(() => openStorage(`s3://AKIDX:${secret}@bucket/runs`)),
      await thrownBy(() => S3Storage.open(`s3://bucket/runs?${signed}`)),
      await thrownBy(() => S3Storage.open("s3://bucket", { endpoint: `https://AKIDX:${secret}@host` })),
      await thrownBy(() => S3Storage.open("s3://bucket", { endpoint: `https://host/?${signed}` })),
      await thrownBy(() => openStorage(`gs://AKIDX:${secret}@bucket/runs?${signed}`)),
      await thrownBy(() => HttpSource.open(`http://AKIDX:secret@127.0.0.1:1/a.cairn?${signed}`)),
      await thrownBy(() =>
        HttpSource.open(`http://host/a.cairn?${signed}`, {
          fetch: (url) => Promise.reject(new TypeError(`error sending request for url (${url})`)),
        })
      ),
      await thrownBy(() =>
        HttpSource.open("http://host/a.cairn", {
          fetch: () =>
            Promise.resolve(
              new Response(null, { status: 302, headers: { location: `ftp://host/?${signed}` } }),
            ),
        })
      ),
    ];
    for (const error of said) expect(error).toBeInstanceOf(Error);
    expect(shown(said)).not.toMatch(/AKIDX|cr\+et|0f0f0f/);
  });
});
