/** What the page shows, as it stands behind the "#" of its address. */
export type Route =
  | { readonly view: "start" | "curves" | "compare" | "lineage" }
  | { readonly view: "file"; readonly path: string };

const VIEWS = ["curves", "compare", "lineage"] as const;
const FILE = "#file=";

/** The route of the part of an address from its "#" on. */
export function routeOf(hash: string): Route {
  if (hash.startsWith(FILE)) {
    try {
      return { view: "file", path: decodeURIComponent(hash.slice(FILE.length)) };
    } catch {
      return { view: "start" };
    }
  }
  const view = VIEWS.find((each) => hash === `#${each}`);
  return { view: view ?? "start" };
}

/** Where a file is shown. */
export function fileHref(path: string): string {
  return FILE + encodeURIComponent(path);
}
