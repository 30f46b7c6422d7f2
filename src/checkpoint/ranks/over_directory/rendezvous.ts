import { CairnError } from "../../../base/errors.ts";
import { randomHex } from "../../../base/hex.ts";
import { failureOf } from "../failure.ts";
import { TimeLimit } from "../group_call.ts";
import { rankFailed, rankMissing } from "../group_errors.ts";
import type { MessageDirectory } from "./message_directory.ts";
import { WaitingRank } from "./refusal.ts";
import type { Seat } from "./seat.ts";
import { asState, type Call, MESSAGE, parseSessionMessage } from "./session_messages.ts";

/**
 * Waits until all ranks have come: rank 0 calls, the others answer, and it welcomes those that it has heard.
 *
 * @returns The session: what the names of the group's messages begin with.
 */
export async function meet(seat: Seat): Promise<string> {
  return seat.rank === 0 ? await callOthers(seat) : await answerFirst(seat);
}

async function callOthers(seat: Seat): Promise<string> {
  const { messages, size } = seat;
  const session = randomHex(8);
  const nonces = Array.from({ length: size }, () => "");
  try {
    await messages.send(MESSAGE.call, asState({ session, size }));
    await hearAnswers(seat, session, nonces);
    // What others left means nothing any more: everybody is here, and is done with what was before.
    await messages.clear((name) => name !== MESSAGE.call && !name.startsWith(session));
    await messages.send(MESSAGE.welcome(session), asState({ nonces }));
  } catch (error) {
    await messages.send(MESSAGE.givenUp(session), asState({ ...failureOf(error), nonces })).catch(() => {});
    throw error;
  } finally {
    await messages.takeBack(MESSAGE.call);
  }
  return session;
}

/**
 * @param nonces Gets that of each answer, at once, so that those who were heard can be told when another one is
 * missing.
 */
async function hearAnswers(seat: Seat, session: string, nonces: string[]): Promise<void> {
  const { messages, size, signal } = seat;
  const limit = new TimeLimit(seat.options);
  const missing = (): number[] => nonces.flatMap((nonce, rank) => rank > 0 && nonce === "" ? [rank] : []);
  await messages.until(async () => {
    for (const rank of missing()) {
      const answer = parseSessionMessage("answer", await messages.receive(MESSAGE.answer(session, rank)));
      if (answer?.rank !== rank) continue;
      nonces[rank] = answer.nonce;
      // At once: it is not known how many others there are to wait for.
      requireOneSize(size, answer);
    }
    return missing().length === 0 ? true : undefined;
  }, {
    limit,
    signal,
    timeUp: () => rankMissing(missing(), { op: "opening the group", size, timeoutMs: limit.timeoutMs }),
  });
}

/** Rank 0 may call again meanwhile, when it was stopped and started anew. */
async function answerFirst(seat: Seat): Promise<string> {
  const { messages, rank, size, signal } = seat;
  const limit = new TimeLimit(seat.options);
  const waiting = await WaitingRank.begin(messages, rank);
  const timeUp = (): Error => rankMissing([0], { op: "opening the group", size, timeoutMs: limit.timeoutMs });
  let answered: string | undefined;
  try {
    while (true) {
      const call = await messages.until(async () => {
        await waiting.assertNotRefused();
        const found = parseSessionMessage("call", await messages.receive(MESSAGE.call));
        return found?.session === answered ? undefined : found;
      }, { limit, signal, timeUp });
      answered = call.session;
      const nonce = randomHex(8);
      await messages.send(MESSAGE.answer(call.session, rank), asState({ rank, size, nonce }));
      requireOneSize(call.size, seat);
      const reply = await messages.until(async () => {
        await waiting.assertNotRefused();
        return await replyTo(seat, call, nonce);
      }, { limit, signal, timeUp });
      if (reply === "welcome") return call.session;
    }
  } finally {
    await waiting.end();
  }
}

/** @throws CairnError `rank_failed` where rank 0 gave up and had heard the answer with this nonce. */
async function replyTo(
  { messages, rank }: Seat,
  { session }: Call,
  nonce: string,
): Promise<"welcome" | "called again" | undefined> {
  const givenUp = parseSessionMessage("givenUp", await messages.receive(MESSAGE.givenUp(session)));
  if (givenUp?.nonces.includes(nonce)) throw rankFailed(0, givenUp);
  const welcome = parseSessionMessage("welcome", await messages.receive(MESSAGE.welcome(session)));
  // Where another answer was heard, this one came too late, or somebody else claims to be this rank.
  if (welcome?.nonces[rank] === nonce) return "welcome";
  return await isCalledAgain(messages, session) ? "called again" : undefined;
}

/** Whether rank 0 was stopped and calls for another session. No call at all is not another session. */
export async function isCalledAgain(messages: MessageDirectory, session: string): Promise<boolean> {
  const call = parseSessionMessage("call", await messages.receive(MESSAGE.call));
  return call !== undefined && call.session !== session;
}

function requireOneSize(first: number, other: { readonly rank: number; readonly size: number }): void {
  if (other.size === first) return;
  throw new CairnError(
    "state_mismatch",
    `The ranks cannot work together: rank 0 says that there are ${first} of them, and rank ${other.rank} says ` +
      `${other.size}; pass the same number everywhere`,
  );
}
