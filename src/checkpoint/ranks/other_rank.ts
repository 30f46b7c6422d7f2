import { workOf } from "../../base/work.ts";
import type { CairnError } from "../../base/errors.ts";
import { joinPath } from "../../storage/storage_path.ts";
import { CommitInfo } from "../engine/commit_info.ts";
import type { CommitReport } from "../engine/engine.ts";
import { partsAt, removeUnnamedParts } from "../engine/part_sweep.ts";
import type { WrittenPart } from "../file/parts/write_part.ts";
import { randomHex } from "../../base/hex.ts";
import { fileNameOf } from "../file/tags.ts";
import type { RankExchange } from "./rank_exchange.ts";
import {
  asState,
  type Call,
  errorOfRank,
  failureOf,
  parseMessage,
  type PlanMessage,
  planOf,
} from "./rank_messages.ts";
import { partOfRank, requireOneWorld } from "./rank_plan.ts";
import { type JoinedSave, MESSAGE, withWarning } from "./rank_save.ts";
import { WaitingRank } from "./refusal.ts";

/** What the first rank told this one to write. */
interface Order {
  readonly call: Call;
  /** What this rank called itself in its answer. */
  readonly nonce: string;
  readonly plan: PlanMessage;
}

/** Answers the call, writes the part of this rank, and waits for the first rank's commit. */
export async function saveAsOther(save: JoinedSave): Promise<CommitReport> {
  let answered: string | undefined;
  while (true) {
    const order = await nextOrder(save, answered);
    const report = await writeAndWait(save, order);
    if (report !== "called again") return report;
    answered = order.call.session;
  }
}

/** Waits until it is said what to write. The first rank may call again meanwhile, when it was stopped and started anew. */
async function nextOrder(save: JoinedSave, last: string | undefined): Promise<Order> {
  const { exchange, own } = save;
  const waiting = await WaitingRank.begin(exchange, own.rank);
  try {
    for (let answered = last;;) {
      const call = await nextCall(save, waiting, answered);
      answered = call.session;
      const nonce = randomHex(8);
      await exchange.send(MESSAGE.hello(call.session, own.rank), asState({ ...own, nonce }));
      requireOneWorld(call, own);
      const plan = await exchange.until(async () => {
        await waiting.assertNotRefused();
        return await receivePlan(save, call, nonce);
      }, () => "rank 0 did not say who writes what");
      if (plan !== "called again") return { call, nonce, plan };
    }
  } finally {
    await waiting.end();
  }
}

async function nextCall(
  { exchange }: JoinedSave,
  waiting: WaitingRank,
  answered: string | undefined,
): Promise<Call> {
  return await exchange.until(async () => {
    await waiting.assertNotRefused();
    const found = parseMessage("call", await exchange.receive(MESSAGE.call));
    return found?.session === answered ? undefined : found;
  }, () => "rank 0 did not call");
}

async function receivePlan(
  { exchange, own }: JoinedSave,
  { session }: Call,
  nonce: string,
): Promise<PlanMessage | "called again" | undefined> {
  const failure = await failureOfFirst(exchange, session, nonce);
  if (failure !== undefined) throw failure;
  const plan = parseMessage("plan", await exchange.receive(MESSAGE.plan(session)));
  // Where another answer was heard, this one came too late, or somebody else claims to be this rank.
  if (plan?.nonces[own.rank] === nonce) return plan;
  return await isCurrent(exchange, session) ? undefined : "called again";
}

/** Whether no other session was called meanwhile. That none is called is no other one. */
async function isCurrent(exchange: RankExchange, session: string): Promise<boolean> {
  const call = parseMessage("call", await exchange.receive(MESSAGE.call));
  return call === undefined || call.session === session;
}

/** Why the first rank gave up, where it did and had heard the answer with this nonce. */
async function failureOfFirst(
  exchange: RankExchange,
  session: string,
  nonce: string,
): Promise<CairnError | undefined> {
  const givenUp = parseMessage("givenUp", await exchange.receive(MESSAGE.givenUp(session)));
  return givenUp?.nonces.includes(nonce) ? errorOfRank(0, givenUp) : undefined;
}

async function writeAndWait(
  save: JoinedSave,
  order: Order,
): Promise<CommitReport | "called again"> {
  const { engine, exchange } = save;
  const { call, nonce, plan } = order;
  const info = CommitInfo.of({ ...save.info, tag: call.tag });
  const directory = engine.directoryOf(info);
  const index = joinPath(directory, fileNameOf(info.tag));
  const { record, written, isVerified } = await writeOwnPart(save, order, info);
  const outcome = await exchange.until(async () => {
    // The index is the one thing that says it. Messages are cleared away afterwards.
    const named = await partsAt(engine.storage, index);
    if (named.some(({ fileId }) => fileId === record.fileId)) return "committed";
    const failure = await failureOfFirst(exchange, call.session, nonce);
    return failure ?? (await isCurrent(exchange, call.session) ? undefined : "called again");
  }, () => "rank 0 did not commit");
  if (outcome === "committed") {
    const path = engine.storage.describe(index);
    return withWarning({ info, tag: info.tag, path, written, isVerified, warnings: [] }, plan.warning);
  }
  // Only now, as until it gives up the first rank may commit the part at any moment; and not if it has done so.
  await removeUnnamedParts(engine.storage, directory, [record]);
  if (outcome === "called again") return outcome;
  throw outcome;
}

/** Makes the part of this rank durable and tells the first rank, or tells it why there is none. */
async function writeOwnPart(
  save: JoinedSave,
  { call: { session, runId }, plan }: Order,
  info: CommitInfo,
): Promise<WrittenPart> {
  const { engine, frozen, exchange, own } = save;
  const done = MESSAGE.done(session, own.rank);
  let part: WrittenPart;
  try {
    part = await engine.savePart(info, frozen, partOfRank(own, planOf(plan)), { ...workOf(save), runId });
  } catch (error) {
    await exchange.send(done, asState({ failure: failureOf(error) })).catch(() => {});
    throw error;
  }
  await exchange.send(done, asState({ part: part.record }));
  return part;
}
