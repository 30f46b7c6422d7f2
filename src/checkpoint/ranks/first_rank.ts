import { workOf } from "../../base/work.ts";
import type { PartList, PartRecord } from "../../container/format/part_list.ts";
import type { CommitReport } from "../engine/engine.ts";
import { type OpenPart, openPart } from "../file/parts/checkpoint_files.ts";
import { tensorsOfPart } from "../file/parts/components.ts";
import { isStoreTensor, placementsOf } from "../file/parts/placement.ts";
import { listRanks } from "../file/parts/rank_view.ts";
import { randomHex } from "../../base/hex.ts";
import { RankExchange } from "./rank_exchange.ts";
import { asState, errorOfRank, failureOf, type Hello, parseMessage } from "./rank_messages.ts";
import { partOfRank, planRanks, requireOneWorld } from "./rank_plan.ts";
import { type JoinedSave, MESSAGE, withWarning } from "./rank_save.ts";
import { MOST_TELLING_MS, refuseOthers } from "./refusal.ts";

/** Calls the other ranks, says who writes what, writes its own part, and commits the index when all parts are durable. */
export async function saveAsFirst(save: JoinedSave): Promise<CommitReport> {
  const { engine, info, overwrite } = save;
  try {
    await engine.create(info, { overwrite });
  } catch (error) {
    await refuse(save, error);
    throw error;
  }
  const session = randomHex(8);
  const nonces = Array.from({ length: save.own.worldSize }, () => "");
  try {
    return await saveInSession(save, session, nonces);
  } catch (error) {
    await engine.abort();
    const givenUp = { ...failureOf(error), nonces };
    await save.exchange.send(MESSAGE.givenUp(session), asState(givenUp)).catch(() => {});
    await save.exchange.takeBack(MESSAGE.call);
    throw error;
  }
}

/** Tells the others that there will be no call, and why. Where they cannot be told, they wait until their time is up. */
async function refuse({ engine, info, ranks, signal, own }: JoinedSave, error: unknown): Promise<void> {
  const exchange = new RankExchange(engine.storage, engine.directoryOf(info), {
    pollMs: ranks.pollMs,
    clock: ranks.clock,
    timeoutMs: Math.min(ranks.timeoutMs ?? MOST_TELLING_MS, MOST_TELLING_MS),
    signal,
  });
  await refuseOthers(exchange, own.worldSize, error).catch(() => {});
}

/** @param nonces Gets what each rank that was heard calls itself, at the place of its rank. */
async function saveInSession(save: JoinedSave, session: string, nonces: string[]): Promise<CommitReport> {
  const { engine, info, frozen, ranks, exchange, own } = save;
  // What earlier sessions left means nothing any more.
  await exchange.clear();
  const { worldSize } = own;
  await exchange.send(MESSAGE.call, asState({ session, runId: engine.runId, tag: info.tag, worldSize }));
  const states = [own, ...await receiveHellos(save, session, nonces)];
  const plan = planRanks(states, ranks.tagValidation);
  const { warning } = plan;
  const parts = states.map((state) => tensorsOfPart(state.tensors, partOfRank(state, plan)));
  await engine.save(frozen, undefined, {
    ...workOf(save),
    ranks: {
      part: partOfRank(own, plan),
      files: [frozen.tensors.filter(({ name }) => !isStoreTensor(name)), ...parts],
      begin: () =>
        exchange.send(MESSAGE.plan(session), asState({ nonces, writers: [...plan.writers], warning })),
      completeParts: (durable) => receiveParts(save, session, durable),
    },
  });
  const report = await engine.commit(info, { signal: save.signal });
  // Not all of them: who is faster is waiting for the next save already.
  await exchange.clear(session);
  await exchange.takeBack(MESSAGE.call);
  return withWarning(report, warning);
}

/**
 * The answers of all other ranks, in order of rank.
 *
 * @param nonces Gets each answer's at the place of its rank, so that those who were heard can be told when another one is missing.
 */
async function receiveHellos(save: JoinedSave, session: string, nonces: string[]): Promise<Hello[]> {
  const { exchange, own } = save;
  return await receiveFromAll(save, "answer", async (rank) => {
    const hello = parseMessage("hello", await exchange.receive(MESSAGE.hello(session, rank)));
    if (hello?.rank !== rank) return undefined;
    nonces[rank] = hello.nonce;
    // At once: it is not known how many others there are to wait for.
    requireOneWorld(own, hello);
    return hello;
  });
}

/** The parts of all ranks, when they are durable and are what those ranks say. */
async function receiveParts(
  save: JoinedSave,
  session: string,
  own: readonly PartRecord[],
): Promise<PartList> {
  const { exchange, engine, info, ranks, signal } = save;
  const others = await receiveFromAll(save, "finish its part", async (rank) => {
    const done = parseMessage("done", await exchange.receive(MESSAGE.done(session, rank)));
    if (done?.failure !== undefined) throw errorOfRank(rank, done.failure);
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
  { exchange, own }: JoinedSave,
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
  }, () => `${listRanks(missing())} of ${own.worldSize} did not ${what}`);
  return [...received].sort(([a], [b]) => a - b).map(([, found]) => found);
}
