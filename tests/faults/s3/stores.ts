import { inspect } from "node:util";
import { CairnError } from "../../../src/base/errors.ts";
import { FakeS3 } from "../../helpers/fake_s3.ts";
import { s3On, SECRETS } from "../../helpers/s3_fixture.ts";
import { saveStep } from "../engine/runs.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { engineOfProcess, tellsSecrets } from "./runs.ts";

/** Rows S5 and S6: stores that cannot be used, and secrets. */
export async function stores(campaign: Campaign): Promise<void> {
  await campaign.row(
    "S5",
    "stores that do not honour the condition are refused before anything is saved",
    unfit,
  );
  await campaign.row("S6", "no secret is in an error or in what shows an object", secrets);
}

async function unfit(row: RowRecorder): Promise<void> {
  const kinds: Record<string, (store: FakeS3) => void> = {
    "takes a name twice": (store) => store.isConditional = false,
    "answers 501": (store) => {
      store.faults.before = ({ headers }) =>
        headers.has("if-none-match") ? store.error(501, "NotImplemented") : undefined;
    },
    "answers 400": (store) => {
      store.faults.before = ({ headers }) =>
        headers.has("if-none-match") ? store.error(400, "InvalidArgument") : undefined;
    },
  };
  for (const [kind, make] of Object.entries(kinds)) {
    row.point();
    const store = new FakeS3();
    make(store);
    const { engine } = await engineOfProcess(store);
    const error: unknown = await saveStep(engine, 1).then(() => "a save", (cause: unknown) => cause);
    const isRefused = error instanceof CairnError && error.code === "unsupported" &&
      error.message.includes("127.0.0.1");
    if (!isRefused) row.fail(`a store that ${kind}: ${error}`);
    if (store.keys.some((key) => !key.includes("/probe/"))) {
      row.fail(`a store that ${kind}: ${store.keys.join(", ")}`);
    }
  }
}

async function secrets(row: RowRecorder): Promise<void> {
  const echoes = SECRETS.join(" and ");
  const answers: Record<string, (store: FakeS3) => Response> = {
    "a refusal": (store) => store.error(403, `SignatureDoesNotMatch ${echoes}`),
    "an error of the store": (store) => store.error(500, `InternalError ${echoes}`),
    "an error of the network": () => {
      throw new TypeError(`connection refused, sent ${echoes}`);
    },
    "another answer": () => new Response(echoes, { status: 418 }),
  };
  for (const [kind, answer] of Object.entries(answers)) {
    for (const at of [0, 1, 2, 3, 4, 5, 6]) {
      row.point();
      const store = new FakeS3();
      const { engine, storage } = await engineOfProcess(store);
      store.faults.before = ({ index }) => index >= at ? answer(store) : undefined;
      const error: unknown = await saveStep(engine, 1).then(() => undefined, (cause: unknown) => cause);
      if (error === undefined) row.fail(`${kind} at request ${at} failed nothing`);
      if (tellsSecrets(error)) row.fail(`${kind} at request ${at}: ${error}`);
      const shown = inspect({ error, engine, storage }, { depth: 20, showHidden: true });
      if (SECRETS.some((secret) => shown.includes(secret))) {
        row.fail(`${kind} at request ${at}: shown by inspect`);
      }
    }
  }
  row.point();
  const store = new FakeS3();
  const wrong: unknown = await s3On(store, { endpoint: `https://user:${SECRETS[1]}@127.0.0.1` }).catch((
    e: unknown,
  ) => e);
  if (!(wrong instanceof TypeError) || tellsSecrets(wrong)) row.fail(`a password in the endpoint: ${wrong}`);
}
