import { element, fill } from "./dom/element.ts";
import { Library } from "./files/library.ts";
import { fileHref, type Route, routeOf } from "./route.ts";
import { CompareView } from "./views/compare_view.ts";
import { CurvesView } from "./views/curves_view.ts";
import { FileView } from "./views/file_view.ts";
import { LineageView } from "./views/lineage_view.ts";
import { Rail } from "./views/rail.ts";
import { startView } from "./views/start_view.ts";
import type { View } from "./views/view.ts";

const REFRESH_MS = 3_000;
/** So many checkpoints are opened without being asked for, for their figures and where they come from. */
const OPENED_AHEAD = 200;
const OPENED_AT_ONCE = 4;

/** The page: what it knows, what it shows, and what changes that. */
class Page {
  readonly #library = new Library(new URL(".", location.href));
  readonly #rail = new Rail(this.#library);
  readonly #main: HTMLElement = element("main");
  readonly #status: HTMLElement = element("span", { class: "status", role: "status" });
  readonly #title: HTMLElement = element("span", { class: "title" });
  readonly #input: HTMLInputElement = element("input", { type: "file", multiple: true, hidden: true });
  #view: View | undefined;
  #shown = "";
  #isServed = false;
  #isOpeningAhead = false;

  async start(root: Element): Promise<void> {
    this.#input.addEventListener("change", () => this.#take([...this.#input.files ?? []]));
    fill(root, this.#header(), element("div", { class: "body" }, this.#rail.root, this.#main), this.#input);
    this.#listen();
    this.#isServed = await this.#library.refresh();
    this.#go();
    if (this.#isServed) setInterval(() => void this.#refresh(), REFRESH_MS);
  }

  #header(): HTMLElement {
    const choose = element("button", { type: "button", onclick: () => this.#input.click() }, "Open files");
    const name = element("a", { href: "#", class: "brand" }, "cairn");
    return element("header", {}, name, this.#title, this.#status, choose);
  }

  #listen(): void {
    addEventListener("hashchange", () => this.#go());
    this.#library.onChange(() => {
      this.#draw();
      this.#view?.update?.();
      void this.#openAhead();
    });
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.classList.add("dragging");
    });
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) document.body.classList.remove("dragging");
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dragging");
      this.#take([...event.dataTransfer?.files ?? []]);
    });
  }

  #take(files: readonly File[]): void {
    const paths = this.#library.addDropped(files);
    const tensors = paths.filter((path) => this.#library.file(path)?.kind !== "log");
    const [path] = tensors;
    if (paths.length === 0) return;
    const hash = tensors.length > 1 ? "#compare" : path === undefined ? "#curves" : fileHref(path);
    if (location.hash === hash) this.#go(true);
    else location.hash = hash;
  }

  async #refresh(): Promise<void> {
    // One file that is served by itself does not become more; nobody looks at a page in the background.
    if (this.#library.onlyFile === undefined && document.visibilityState === "visible") {
      await this.#library.refresh();
    }
  }

  /** Shows what the address says, unless it is shown already. */
  #go(isForced = false): void {
    const route = this.#route();
    const state = JSON.stringify(route);
    if (state !== this.#shown || isForced) {
      this.#shown = state;
      this.#view?.close?.();
      this.#view = this.#viewOf(route);
      fill(this.#main, this.#view.root);
    }
    this.#draw();
    void this.#openAhead();
  }

  /** At the start, what there is most to see of. */
  #route(): Route {
    const route = routeOf(location.hash);
    if (route.view !== "start") return route;
    const { files, onlyFile } = this.#library;
    if (onlyFile !== undefined && files.length > 0) {
      return routeOf(onlyFile.endsWith(".jsonl") ? "#curves" : fileHref(onlyFile));
    }
    return files.length > 0 ? { view: "curves" } : route;
  }

  #viewOf(route: Route): View {
    switch (route.view) {
      case "file":
        return new FileView(this.#library, route.path);
      case "curves":
        return new CurvesView(this.#library);
      case "compare":
        return new CompareView(this.#library);
      case "lineage":
        return new LineageView(this.#library);
      case "start":
        return startView(() => this.#input.click(), this.#isServed);
    }
  }

  #draw(): void {
    const { title = "", isReached, files } = this.#library;
    if (this.#shown === JSON.stringify({ view: "start" }) && files.length > 0) return this.#go();
    this.#rail.draw(this.#route());
    this.#rail.root.hidden = files.length === 0;
    this.#title.textContent = title;
    document.title = title === "" ? "cairn" : `${title} · cairn`;
    const isGone = this.#isServed && !isReached;
    this.#status.textContent = !this.#isServed
      ? ""
      : isGone
      ? "server gone"
      : this.#library.onlyFile === undefined
      ? "live"
      : "";
    this.#status.className = isGone ? "status gone" : "status";
  }

  /** Opens checkpoints for what they say of themselves, the newest first and some at a time. */
  async #openAhead(): Promise<void> {
    if (this.#isOpeningAhead || this.#library.onlyFile !== undefined) return;
    this.#isOpeningAhead = true;
    const tried = new Set<string>();
    const next = (): string | undefined =>
      this.#library.files.filter(({ kind }) => kind === "checkpoint").sort((a, b) =>
        b.modifiedMs - a.modifiedMs
      )
        .slice(0, OPENED_AHEAD).find(({ opened, path }) => opened === undefined && !tried.has(path))?.path;
    const work = async (): Promise<void> => {
      for (let path = next(); path !== undefined; path = next()) {
        tried.add(path);
        // What is wrong with it, its entry says.
        await this.#library.open(path).catch(() => {});
      }
    };
    await Promise.all(Array.from({ length: OPENED_AT_ONCE }, work));
    this.#isOpeningAhead = false;
  }
}

const root = document.querySelector("#page");
if (root !== null) void new Page().start(root);
