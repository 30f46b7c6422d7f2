import { type Child, element, fill } from "../dom/element.ts";
import type { KnownFile, Library } from "../files/library.ts";
import { formatBytes, formatCount } from "../numbers/format.ts";
import { fileHref, type Route } from "../route.ts";
import { directoryOf, nameOf } from "../../../storage/storage_path.ts";

/** More links than a person looks through. */
const MOST_FILES = 300;

/** The list at the side: the views, and the files by directory, the newest first. */
export class Rail {
  readonly root: HTMLElement = element("nav", { "aria-label": "Files" });
  readonly #library: Library;

  constructor(library: Library) {
    this.#library = library;
  }

  /** Draws it for what is known now. */
  draw(route: Route): void {
    const { files } = this.#library;
    const tensors = files.filter(({ kind }) => kind !== "log");
    const logs = files.length - tensors.length;
    const views = [
      (tensors.length > 0 || logs > 0) &&
      viewLink("curves", "Curves", route, logs > 0 ? formatCount(logs) : ""),
      tensors.length > 1 && viewLink("compare", "Compare", route, ""),
      tensors.length > 1 && viewLink("lineage", "Lineage", route, ""),
    ];
    fill(
      this.root,
      element("ul", { class: "views" }, ...views),
      ...groupsOf(tensors, route),
      this.#cut(tensors),
    );
  }

  #cut(tensors: readonly KnownFile[]): Child {
    const isCut = this.#library.isCut || tensors.length > MOST_FILES;
    return isCut && element("p", { class: "soft" }, "There are more files than are listed here.");
  }
}

function viewLink(
  view: "curves" | "compare" | "lineage",
  title: string,
  route: Route,
  count: string,
): HTMLElement {
  const isCurrent = route.view === view;
  return element(
    "li",
    {},
    element(
      "a",
      { href: `#${view}`, "aria-current": isCurrent ? "page" : undefined },
      title,
      element("span", { class: "soft" }, count),
    ),
  );
}

function groupsOf(files: readonly KnownFile[], route: Route): HTMLElement[] {
  const newestFirst = files.toSorted((a, b) => b.modifiedMs - a.modifiedMs).slice(0, MOST_FILES);
  return [...Map.groupBy(newestFirst, ({ path }) => directoryOf(path))].map(([directory, group]) =>
    element(
      "section",
      {},
      element("h2", {}, directory === "" ? "Files" : directory),
      element("ul", {}, ...group.map((file) => fileEntry(file, route))),
    )
  );
}

function fileEntry(file: KnownFile, route: Route): HTMLElement {
  const isCurrent = route.view === "file" && route.path === file.path;
  const name = nameOf(file.path).replace(/\.cairn$/, "");
  return element(
    "li",
    {},
    element(
      "a",
      { href: fileHref(file.path), title: file.path, "aria-current": isCurrent ? "page" : undefined },
      element("span", { class: "file-name" }, name),
      file.opened instanceof Error
        ? element("span", { class: "badge bad", title: file.opened.message }, "unreadable")
        : element("span", { class: "soft" }, noteOf(file)),
    ),
  );
}

/** The step where it is known; else the size. */
function noteOf({ opened, byteLength }: KnownFile): string {
  const step = opened === undefined || opened instanceof Error ? undefined : opened.provenance.step;
  return step === undefined ? formatBytes(byteLength) : `step ${formatCount(step)}`;
}
