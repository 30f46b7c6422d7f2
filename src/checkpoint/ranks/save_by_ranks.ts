import { CairnError } from "../../base/errors.ts";
import type { PartList, PartRecord } from "../../container/part_list.ts";
import { joinPath } from "../../storage/storage_path.ts";
import { CommitInfo } from "../commit_info.ts";
import { refuseTwins } from "../directory_check.ts";
import type { CommitReport, SaveOptions } from "../engine.ts";
import type { FileEngine } from "../file_engine.ts";
import type { FrozenCheckpoint } from "../frozen_checkpoint.ts";
import { type OpenPart, openPart } from "../parts/checkpoint_files.ts";
import { placementsOf } from "../parts/placement.ts";
import { partsAt, removeUnnamedParts } from "../parts/part_sweep.ts";
import type { WrittenPart } from "../parts/write_part.ts";
import { checkRank, list } from "../parts/rank_view.ts";
import { randomHex } from "../small_file.ts";
import { tagDigest } from "../tag_validation.ts";
import { fileNameOf } from "../tags.ts";
import { RankExchange } from "./rank_exchange.ts";
import { asState, type Call, type Hello, parseMessage, type PlanMessage, planOf } from "./rank_messages.ts";
import type { RankSaveOptions } from "./rank_options.ts";
import { describeTensors, partOfRank, planRanks, type RankState } from "./rank_plan.ts";

/** A save that several ranks make together. */
export interface RankSave extends SaveOptions {
  readonly engine: FileEngine;
  readonly info: CommitInfo;
  readonly overwrite: boolean;
  readonly frozen: FrozenCheckpoint;
  readonly ranks: RankSaveOptions;
}

/** A save with what goes with it. */
interface Joined extends RankSave {
  readonly exchange: RankExchange;
  readonly own: RankState;
}

const CALL = "call";

/**
 * Saves one checkpoint together with other ranks: each writes its part, and when all parts are durable the first rank commits the
 * index that names them. Until then there is nothing to be found; when it resolves, the checkpoint is durable, on every rank.
 *
 * The ranks find each other in the directory: the first rank calls, the others answer with what they have, and it tells all of them who
 * writes what. A session has a name of its own, so that what an attempt left behind that was stopped is never taken for an answer.
 *
 * @throws CairnError `commit_failed` when a rank is missing or fails; `state_mismatch` when their states do not go together;
 * `invalid_tag`; `signal.reason`. Then nothing was published, and the other ranks fail too.
 */
export async function saveByRanks(save: RankSave): Promise<CommitReport> {
  const { engine, info, frozen, ranks, signal } = save;
  checkRank(ranks.rank, ranks.worldSize);
  const exchange = new RankExchange(engine.storage, engine.directoryOf(info), {
    timeoutMs: ranks.timeoutMs,
    pollMs: ranks.pollMs,
    clock: ranks.clock,
    signal,
  });
  const own: RankState = {
    rank: ranks.rank,
    worldSize: ranks.worldSize,
    digest: await tagDigest(info.tag),
    step: frozen.manifest.provenance.step,
    tensors: describeTensors(frozen.tensors, ranks),
  };
  const joined: Joined = { ...save, exchange, own };
  return ranks.rank === 0 ? await saveAsFirst(joined) : await saveAsOther(joined);
}

async function saveAsFirst(save: Joined): Promise<CommitReport> {
  const { engine, info, overwrite, frozen, ranks, exchange, own } = save;
  await engine.create(info, { overwrite });
  const session = randomHex();
  const nonces = Array.from({ length: ranks.worldSize }, () => "");
  try {
    // What earlier sessions left means nothing any more.
    await exchange.clear();
    const call: Call = { session, runId: engine.runId, tag: info.tag, worldSize: ranks.worldSize };
    await exchange.send(CALL, asState(call));
    const hellos = await receiveHellos(save, session, nonces);
    const plan = planRanks([own, ...hellos], ranks.tagValidation);
    const { warning } = plan;
    await exchange.send(`${session}-plan`, asState({ nonces, writers: [...plan.writers], warning }));
    await engine.save(frozen, undefined, {
      ...progressOf(save),
      ranks: {
        part: partOfRank(own, plan),
        completeParts: (parts) => receiveParts(save, session, parts),
      },
    });
    const report = await engine.commit(info, signalOf(save));
    await exchange.clear();
    return withWarning(report, warning);
  } catch (error) {
    await engine.abort();
    const message = error instanceof Error ? error.message : String(error);
    await exchange.send(`${session}-failed`, asState({ nonces, message })).catch(() => {});
    await exchange.clear(CALL);
    throw error;
  }
}

/** Answers the call, writes the part of this rank, and waits for the first rank's commit. */
async function saveAsOther(save: Joined): Promise<CommitReport> {
  const { exchange, engine, info, overwrite } = save;
  // The first rank will not call when the tag is taken, and this one would wait.
  await refuseTwins(engine.storage, engine.directoryOf(info), info.tag, overwrite);
  // The first rank may call again, when it was stopped and started anew.
  let answered: string | undefined;
  while (true) {
    const call = await nextCall(save, answered);
    answered = call.session;
    const nonce = randomHex();
    const hello: Hello = { ...save.own, nonce };
    await exchange.send(`${call.session}-hello-${save.own.rank}`, asState(hello));
    const message = await exchange.until(
      () => receivePlan(save, call, nonce),
      () => `rank 0 did not say who writes what`,
    );
    if (message === "called again") continue;
    const report = await writeAndWait(save, call, nonce, message);
    if (report !== "called again") return report;
  }
}

async function nextCall({ exchange, own }: Joined, answered: string | undefined): Promise<Call> {
  const call = await exchange.until(async () => {
    const found = parseMessage("call", await exchange.receive(CALL));
    return found?.session === answered ? undefined : found;
  }, () => "rank 0 did not call");
  if (call.worldSize === own.worldSize) return call;
  throw new CairnError(
    "state_mismatch",
    `The ranks cannot save together: rank 0 says there are ${call.worldSize} of them, and rank ${own.rank} says ${own.worldSize}`,
  );
}

async function receivePlan(
  { exchange, own }: Joined,
  { session }: Call,
  nonce: string,
): Promise<PlanMessage | "called again" | undefined> {
  const failure = await failureOf(exchange, session, nonce);
  if (failure !== undefined) throw failure;
  const plan = parseMessage("plan", await exchange.receive(`${session}-plan`));
  // Where another answer was heard, this one came too late, or somebody else claims to be this rank.
  if (plan?.nonces[own.rank] === nonce) return plan;
  return await isCurrent(exchange, session) ? undefined : "called again";
}

/** Whether no other session was called meanwhile. That none is called is no other one. */
async function isCurrent(exchange: RankExchange, session: string): Promise<boolean> {
  const call = parseMessage("call", await exchange.receive(CALL));
  return call === undefined || call.session === session;
}

/** Why the first rank gave up, where it did and had heard the answer with this nonce. */
async function failureOf(
  exchange: RankExchange,
  session: string,
  nonce: string,
): Promise<CairnError | undefined> {
  const failure = parseMessage("failure", await exchange.receive(`${session}-failed`));
  if (!failure?.nonces.includes(nonce)) return undefined;
  return new CairnError("commit_failed", `Rank 0 could not save: ${failure.message}`, {
    details: { op: "commit" },
  });
}

async function writeAndWait(
  save: Joined,
  call: Call,
  nonce: string,
  message: PlanMessage,
): Promise<CommitReport | "called again"> {
  const { engine, exchange } = save;
  const info = CommitInfo.of({ ...save.info, tag: call.tag });
  const directory = engine.directoryOf(info);
  const index = joinPath(directory, fileNameOf(info.tag));
  const { record, written, isVerified } = await writeOwnPart(save, call, info, message);
  const outcome = await exchange.until(async () => {
    // The index is the one thing that says it. Messages are cleared away afterwards.
    const named = await partsAt(engine.storage, index);
    if (named.some(({ fileId }) => fileId === record.fileId)) return "committed";
    const failure = await failureOf(exchange, call.session, nonce);
    return failure ?? (await isCurrent(exchange, call.session) ? undefined : "called again");
  }, () => "rank 0 did not commit");
  if (outcome === "committed") {
    const path = engine.storage.describe(index);
    return withWarning({ info, tag: info.tag, path, written, isVerified, warnings: [] }, message.warning);
  }
  // Only now, as until it gives up the first rank may commit the part at any moment; and not if it has done so.
  await removeUnnamedParts(engine.storage, directory, [record]);
  if (outcome === "called again") return outcome;
  throw outcome;
}

/** Makes the part of this rank durable and tells the first rank, or tells it why there is none. */
async function writeOwnPart(
  save: Joined,
  { session, runId }: Call,
  info: CommitInfo,
  message: PlanMessage,
): Promise<WrittenPart> {
  const { engine, frozen, exchange, own } = save;
  const done = `${session}-done-${own.rank}`;
  let part: WrittenPart;
  try {
    const plan = partOfRank(own, planOf(message));
    part = await engine.savePart(info, frozen, plan, { ...progressOf(save), runId });
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    await exchange.send(done, asState({ failure })).catch(() => {});
    throw error;
  }
  await exchange.send(done, asState({ part: part.record }));
  return part;
}

/**
 * The answers of all other ranks, in order of rank.
 *
 * @param nonces Gets each answer's at the place of its rank, so that those who were heard can be told when another one is missing.
 */
async function receiveHellos(save: Joined, session: string, nonces: string[]): Promise<Hello[]> {
  const { exchange, own } = save;
  const hellos = await receiveFromAll(save, "answer", async (rank) => {
    const hello = parseMessage("hello", await exchange.receive(`${session}-hello-${rank}`));
    if (hello?.rank !== rank) return undefined;
    nonces[rank] = hello.nonce;
    return hello;
  });
  const other = hellos.find(({ worldSize }) => worldSize !== own.worldSize);
  if (other === undefined) return hellos;
  throw new CairnError(
    "state_mismatch",
    `The ranks cannot save together: rank ${other.rank} says there are ${other.worldSize} of them, and rank 0 says ${own.worldSize}`,
  );
}

/** The parts of all ranks, when they are durable and are what those ranks say. */
async function receiveParts(save: Joined, session: string, own: readonly PartRecord[]): Promise<PartList> {
  const { exchange, engine, info, ranks, signal } = save;
  const others = await receiveFromAll(save, "finish its part", async (rank) => {
    const done = parseMessage("done", await exchange.receive(`${session}-done-${rank}`));
    if (done?.failure !== undefined) {
      throw new CairnError("commit_failed", `Rank ${rank} could not save: ${done.failure}`, {
        details: { op: "save" },
      });
    }
    return done?.part;
  });
  const files = [...own, ...others];
  const opened: OpenPart[] = [];
  try {
    for (const record of files) {
      opened.push({
        record,
        reader: await openPart(engine.storage, engine.directoryOf(info), record, signal),
      });
    }
    // As whoever loads it will do, before there is anything to be loaded.
    placementsOf(opened);
  } finally {
    for (const { reader } of opened) await reader.close();
  }
  return { worldSize: ranks.worldSize, files };
}

async function receiveFromAll<T>(
  { exchange, own }: Joined,
  what: string,
  receive: (rank: number) => Promise<T | undefined>,
): Promise<T[]> {
  const received = new Map<number, T>();
  const missing = (): number[] =>
    Array.from({ length: own.worldSize - 1 }, (_, index) => index + 1).filter((rank) => !received.has(rank));
  await exchange.until(async () => {
    for (const rank of missing()) {
      const found = await receive(rank);
      if (found !== undefined) received.set(rank, found);
    }
    return missing().length === 0 ? true : undefined;
  }, () => `${list(missing())} of ${own.worldSize} did not ${what}`);
  return [...received].sort(([a], [b]) => a - b).map(([, found]) => found);
}

function withWarning(report: CommitReport, warning: string | undefined): CommitReport {
  if (warning === undefined) return report;
  return { ...report, warnings: [...report.warnings, new CairnError("invalid_tag", warning)] };
}

function signalOf({ signal }: SaveOptions): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function progressOf(save: SaveOptions): SaveOptions {
  const { onProgress } = save;
  return { ...signalOf(save), ...onProgress === undefined ? {} : { onProgress } };
}
