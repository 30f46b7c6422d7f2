import { canonicalJsonPieces, type JsonValue } from "../../base/canonical_json.ts";
import { encodeState } from "../../container/format/encode_state.ts";
import type { OpenedFile } from "../open/opened_file.ts";

/** A place of the state that is not the same in both. */
export interface StateDifference {
  /** Keys from the top, with dots between them. */
  readonly path: string;
  /** The value as JSON, as `FORMAT.md` writes it; absent where there is no such place. */
  readonly a?: string | undefined;
  readonly b?: string | undefined;
}

/** Where state, metrics and what the user kept are not the same. Files of other formats have none of these. */
export function stateDifferences(a: OpenedFile, b: OpenedFile): StateDifference[] {
  if (a.container === undefined || b.container === undefined) return [];
  const [left, right] = [leavesOf(a), leavesOf(b)];
  const paths = new Set([...left.keys(), ...right.keys()]);
  return [...paths].filter((path) => left.get(path) !== right.get(path))
    .map((path) => ({ path, a: left.get(path), b: right.get(path) }));
}

function leavesOf({ container }: OpenedFile): Map<string, string> {
  const leaves = new Map<string, string>();
  if (container === undefined) return leaves;
  const { state, metrics, user } = container.manifest;
  addLeaves(leaves, "state", encodeState(state));
  addLeaves(leaves, "metrics", encodeState(metrics));
  addLeaves(leaves, "user", encodeState(user));
  return leaves;
}

/** What JSON has no word for, such as a Map, is an object with `$`, and one leaf. */
function addLeaves(leaves: Map<string, string>, path: string, value: JsonValue): void {
  const isTree = typeof value === "object" && value !== null && !Object.hasOwn(value, "$");
  const entries = isTree ? Object.entries(value) : [];
  if (entries.length === 0) leaves.set(path, [...canonicalJsonPieces(value)].join(""));
  for (const [key, child] of entries) addLeaves(leaves, `${path}.${key}`, child);
}
