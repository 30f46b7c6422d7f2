/** What the page can do with a file, by the end of its name. */
export type ShownKind = "checkpoint" | "safetensors" | "log";

const KINDS: readonly (readonly [ending: string, kind: ShownKind])[] = [
  [".cairn", "checkpoint"],
  [".safetensors", "safetensors"],
  [".jsonl", "log"],
];

/** How the names of files end that the page shows. */
export function shownEndings(): readonly string[] {
  return KINDS.map(([ending]) => ending);
}

/** What the page shows of a file of this name; `undefined` for one that it has no view for. */
export function shownKind(path: string): ShownKind | undefined {
  const name = path.toLowerCase();
  return KINDS.find(([ending]) => name.endsWith(ending))?.[1];
}

/** Whether the page shows files of this name. The server gives out no others. */
export function isShownFile(path: string): boolean {
  return shownKind(path) !== undefined;
}
