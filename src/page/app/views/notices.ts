import { CairnError } from "../../../base/errors.ts";
import { type Child, element } from "../dom/element.ts";

/** What to do next where there is nothing to see. */
export function emptyNotice(title: string, ...text: readonly Child[]): Element {
  return element("div", { class: "notice" }, element("h2", {}, title), element("p", {}, ...text));
}

/** What went wrong, in the library's words, which also say what to do. */
export function errorNotice(title: string, error: unknown): Element {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof CairnError ? error.code : undefined;
  return element(
    "div",
    { class: "notice error", role: "alert" },
    element("h2", {}, title),
    element("p", { class: "message" }, message),
    code !== undefined && element("p", { class: "soft" }, element("code", {}, code)),
  );
}
