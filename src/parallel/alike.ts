import { CairnError } from "../base/errors.ts";
import type { ProcessGroup } from "../checkpoint/ranks/process_group.ts";
import { decodeState, encodeState } from "./state_message.ts";

/** What has to be the same on all ranks, by what it is called in messages. */
export type RankDescription = Readonly<Record<string, string>>;

/** The most characters of a value in a message. */
const SHOWN_LENGTH = 80;

/**
 * Compares what ranks say of themselves; every rank calls it.
 *
 * @throws CairnError `state_mismatch` on every rank, which names all that is not the same, on which rank, and both
 * values.
 */
export async function requireAlike(group: ProcessGroup, own: RankDescription): Promise<void> {
  const all = await Promise.all(
    (await group.allGather(await encodeState(own))).map(async (bytes) =>
      await decodeState(bytes) as RankDescription
    ),
  );
  const [first = own] = all;
  const differences = all.flatMap((each, rank) =>
    [...new Set([...Object.keys(first), ...Object.keys(each)])]
      .filter((what) => each[what] !== first[what])
      .map((what) => ({ rank, what, found: each[what] ?? "nothing", expected: first[what] ?? "nothing" }))
  );
  if (differences.length === 0) return;
  const list = differences.map(({ rank, what, found, expected }) => {
    const [a, b] = apart(found, expected);
    return `rank ${rank} has the ${what} ${a}, and rank 0 ${b}`;
  });
  throw new CairnError(
    "state_mismatch",
    `Cannot train together: ${list.join("; ")}. Start the same script on machines that are alike`,
    { details: { ranks: [...new Set(differences.map(({ rank }) => rank))], value: differences } },
  );
}

/** Two different texts, as much of each as tells them apart. */
function apart(a: string, b: string): [string, string] {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  const from = a.length <= SHOWN_LENGTH && b.length <= SHOWN_LENGTH ? 0 : Math.max(0, at - SHOWN_LENGTH / 4);
  const shown = (text: string): string => {
    const rest = text.slice(from);
    const cut = rest.length <= SHOWN_LENGTH ? rest : `${rest.slice(0, SHOWN_LENGTH)}…`;
    return `"${from > 0 ? "…" : ""}${cut}"`;
  };
  return [shown(a), shown(b)];
}
