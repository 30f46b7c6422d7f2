import { CairnError, type CairnErrorCode } from "../base/errors.ts";
import { failureOf } from "../checkpoint/ranks/failure.ts";
import type { ProcessGroup } from "../checkpoint/ranks/process_group.ts";
import { decodeState, encodeState } from "./state_message.ts";

/**
 * Has rank 0 do something that the others wait for: all of them get what it gives, or an error with the code of its
 * own. The group can be used again after either.
 *
 * @param work Gives plain data, in which errors may be.
 * @param help What the others do for it meanwhile.
 */
export async function onFirstRank<T>(
  group: ProcessGroup,
  work: () => Promise<T>,
  help?: () => Promise<void>,
): Promise<T> {
  if (group.rank > 0) {
    await help?.();
    return await heardFromFirst(group);
  }
  let value: T;
  try {
    value = await work();
  } catch (error) {
    await group.broadcast(0, await encodeState({ failure: failureOf(error) }));
    throw error;
  }
  await group.broadcast(0, await encodeState({ value }));
  return value;
}

async function heardFromFirst<T>(group: ProcessGroup): Promise<T> {
  const said = await decodeState(await group.broadcast(0)) as {
    readonly value: T;
    readonly failure?: { readonly code: CairnErrorCode; readonly message: string };
  };
  const { failure } = said;
  if (failure === undefined) return said.value;
  throw new CairnError(failure.code, `Rank 0 could not do it: ${failure.message}`, {
    details: { ranks: [0] },
  });
}
