import { CairnError } from "../../../src/base/errors.ts";
import type { FakeRequest, FakeS3, FakeS3Faults } from "../../helpers/fake_s3.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { S3Outcome } from "./outcome.ts";
import {
  prepared,
  recoveredFrom,
  stepsIn,
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
  readonly make: (store: FakeS3, isChosen: (request: FakeRequest) => boolean) => FakeS3Faults;
}

const always = (): boolean => true;
const isRead = ({ method }: FakeRequest): boolean => method === "GET";

function before(answer: (store: FakeS3, request: FakeRequest) => Response): Fault["make"] {
  return (store, isChosen) => ({
    before: (request) => isChosen(request) ? answer(store, request) : undefined,
  });
}

function after(answer: (store: FakeS3, response: Response) => Response | Promise<Response>): Fault["make"] {
  return (store, isChosen) => ({
    after: (request, response) => isChosen(request) ? answer(store, response) : undefined,
  });
}

function dropped(): never {
  throw new TypeError("connection reset");
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
    make: after((_, response) =>
      withBody(response, (bytes) => {
        bytes[bytes.byteLength >> 1] = (bytes[bytes.byteLength >> 1] ?? 0) ^ 1;
        return bytes;
      })
    ),
  },
];

/** Row S2: one request goes wrong once, or for good. */
export async function answers(campaign: Campaign, outcome: S3Outcome, stride = 1): Promise<void> {
  await campaign.row("S2", "answers that are missing, late or wrong, once and for good", async (row) => {
    for (const fault of FAULTS) {
      for (const workload of WORKLOADS) {
        for (const mode of ["once", "for good"] as const) {
          for (let at = 0; await faultAt(workload, fault, mode, at, row, outcome); at += stride);
        }
      }
    }
  });
}

/** @returns Whether the work came as far as request `at`. */
async function faultAt(
  workload: Workload,
  fault: Fault,
  mode: "once" | "for good",
  at: number,
  row: RowRecorder,
  outcome: S3Outcome,
): Promise<boolean> {
  const store = await prepared(workload);
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
  if (reached === undefined) return false;
  if (!isInjected) return true;
  row.point();
  const where = `${fault.name} ${mode} at request ${at} (${reached}) of ${workload.name}`;
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
  return true;
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
