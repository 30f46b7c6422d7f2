import { CairnError } from "../../../src/base/errors.ts";
import type { FakeRequest, FaultyS3, S3Faults } from "../../helpers/faulty_s3.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { S3Outcome } from "./outcome.ts";
import {
  inMemory,
  prepared,
  recoveredFrom,
  requestsOf,
  stepsIn,
  type StoreMaker,
  tellsSecrets,
  type Workload,
  WORKLOADS,
  workWith,
} from "./runs.ts";

/** One way for a request to go wrong. */
interface Fault {
  readonly name: string;
  /** Whether it makes sense for this request. */
  readonly fits: (request: FakeRequest) => boolean;
  readonly make: (store: FaultyS3, isChosen: (request: FakeRequest) => boolean) => S3Faults;
}

const always = (): boolean => true;
const isRead = ({ method }: FakeRequest): boolean => method === "GET";
const hasAnswer = ({ method, query }: FakeRequest): boolean => method === "GET" || query.has("uploads");
const hasBody = ({ body }: FakeRequest): boolean => body.byteLength > 0;

function before(
  answer: (store: FaultyS3, request: FakeRequest) => Response | Promise<Response>,
): Fault["make"] {
  return (store, isChosen) => ({
    before: (request) => isChosen(request) ? answer(store, request) : undefined,
  });
}

function after(answer: (store: FaultyS3, response: Response) => Response | Promise<Response>): Fault["make"] {
  return (store, isChosen) => ({
    after: (request, response) => isChosen(request) ? answer(store, response) : undefined,
  });
}

function dropped(): never {
  throw new TypeError("connection reset");
}

/** Nothing comes any more, until the time limit is over. */
function silent(store: FaultyS3): Promise<Response> {
  setTimeout(() => store.passTime());
  return new Promise(() => {});
}

/** The first half of a body, and then nothing. */
async function stalling(store: FaultyS3, response: Response): Promise<Response> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  let isBegun = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (isBegun) return void setTimeout(() => store.passTime());
      isBegun = true;
      controller.enqueue(bytes.subarray(0, bytes.byteLength >> 1));
    },
  }, { highWaterMark: 0 });
  return new Response(body, { status: response.status, headers: response.headers });
}

/** On its way there: other bytes under the same hashes. */
function sent(change: (bytes: Uint8Array) => Uint8Array): Fault["make"] {
  return (_, isChosen) => ({
    sent: (request) => isChosen(request) ? change(new Uint8Array(request.body)) : undefined,
  });
}

function withOtherBit(bytes: Uint8Array): Uint8Array {
  bytes[bytes.byteLength >> 1] = (bytes[bytes.byteLength >> 1] ?? 0) ^ 1;
  return bytes;
}

/** The same answer with other bytes under its length. */
async function withBody(response: Response, change: (bytes: Uint8Array) => Uint8Array): Promise<Response> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const changed = bytes.byteLength === 0 ? null : new Uint8Array(change(bytes));
  return new Response(changed, { status: response.status, headers: response.headers });
}

const FAULTS: readonly Fault[] = [
  { name: "no connection", fits: always, make: before(dropped) },
  { name: "the answer is dropped after it took effect", fits: always, make: after(dropped) },
  { name: "503", fits: always, make: before((store) => store.error(503, "SlowDown")) },
  {
    name: "500 after it took effect",
    fits: always,
    make: after((store) => store.error(500, "InternalError")),
  },
  { name: "409", fits: always, make: before((store) => store.error(409, "ConditionalRequestConflict")) },
  { name: "a checksum is wrong", fits: always, make: before((store) => store.error(400, "BadDigest")) },
  {
    name: "the body of the answer is cut",
    fits: isRead,
    make: after((_, response) => withBody(response, (bytes) => bytes.subarray(0, bytes.byteLength >> 1))),
  },
  {
    name: "a bit of the answer is another one",
    fits: ({ method, name }) => method === "GET" && /^GET (log|data)\//.test(name),
    make: after((_, response) => withBody(response, withOtherBit)),
  },
  { name: "nothing comes back", fits: always, make: before(silent) },
  { name: "the body of the answer stops half way", fits: hasAnswer, make: after(stalling) },
  { name: "a bit of the body is another one on its way", fits: hasBody, make: sent(withOtherBit) },
  {
    name: "the body is cut on its way",
    fits: hasBody,
    make: sent((bytes) => bytes.subarray(0, bytes.byteLength >> 1)),
  },
  {
    name: "the store says that a piece has another checksum",
    fits: ({ query }) => query.has("partNumber"),
    make: after((_, response) => {
      const headers = new Headers(response.headers);
      headers.set("x-amz-checksum-sha256", btoa("another".padEnd(32)));
      return new Response(null, { status: response.status, headers });
    }),
  },
];

/** Row S2: one request goes wrong once, or for good. */
export async function answers(campaign: Campaign, outcome: S3Outcome, stride = 1): Promise<void> {
  await campaign.row(
    "S2",
    "answers that are missing, late or wrong, once and for good",
    async (row) => await goWrongEverywhere(row, outcome, inMemory, stride),
  );
}

/** Has every fault happen at every request, or at one of `stride`. */
export async function goWrongEverywhere(
  row: RowRecorder,
  outcome: S3Outcome,
  newStore: StoreMaker,
  stride: number,
): Promise<void> {
  let turn = 0;
  for (const fault of FAULTS) {
    for (const workload of WORKLOADS) {
      const requests = await requestsOf(workload, newStore);
      for (const mode of ["once", "for good"] as const) {
        for (const at of requests.keys()) {
          if (!requests.slice(at, mode === "once" ? at + 1 : undefined).some(fault.fits)) continue;
          if (turn++ % stride !== 0) continue;
          await faultAt(await prepared(workload, newStore), workload, fault, mode, at, row, outcome);
        }
      }
    }
  }
}

async function faultAt(
  store: FaultyS3,
  workload: Workload,
  fault: Fault,
  mode: "once" | "for good",
  at: number,
  row: RowRecorder,
  outcome: S3Outcome,
): Promise<void> {
  let reached: string | undefined;
  let isInjected = false;
  const isChosen = (request: FakeRequest): boolean => {
    if (request.index < at) return false;
    reached ??= request.name;
    const isNow = fault.fits(request) && (mode === "for good" || request.index === at);
    isInjected ||= isNow;
    return isNow;
  };
  const faults = fault.make(store, isChosen);
  const error = await workWith(store, workload, faults);
  row.point();
  const where = `${fault.name} ${mode} at request ${at} (${
    reached ?? "which never came"
  }) of ${workload.name}`;
  if (!isInjected) return row.fail(`${where}: it did not happen`);
  const found = await recoveredFrom(store);
  const problem = judge(workload, mode, error, found);
  if (problem !== undefined) {
    if (found !== workload.old && found !== workload.new) outcome.mixed++;
    else outcome.lost++;
    row.fail(`${where}: ${problem}`);
  }
  if ((await stepsIn(store)).includes("mixed")) {
    outcome.mixed++;
    row.fail(`${where}: there is a checkpoint that does not verify`);
  }
}

function judge(
  workload: Workload,
  mode: "once" | "for good",
  error: unknown,
  found: number | "mixed",
): string | undefined {
  if (found !== workload.old && found !== workload.new) return `${found} is recovered`;
  if (error === undefined) {
    return found === workload.new ? undefined : `it succeeded, and ${found} is recovered`;
  }
  if (tellsSecrets(error)) return "the error tells a secret";
  if (!(error instanceof CairnError)) return `it threw ${error}`;
  // One that only went wrong on the way there and back is found out by reading.
  if (mode === "once") return `it failed with ${error.code}: ${error.message}`;
  // What may be there all the same has to say so.
  const mayBeThere = error.code === "commit_failed" || workload.name !== "a first save";
  return found === workload.new && workload.old !== workload.new && !mayBeThere
    ? `it failed with ${error.code}, and is there: ${error.message}`
    : undefined;
}
