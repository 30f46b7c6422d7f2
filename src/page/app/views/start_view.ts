import { element } from "../dom/element.ts";
import type { View } from "./view.ts";

/** What the page says before there is a file. */
export function startView(onChoose: () => void, isServed: boolean): View {
  const where = isServed
    ? "There are no checkpoints and no logs below the directory that is served. New ones show up here by themselves."
    : "Nothing leaves this page: it reads the file where it is, and only as much of it as it shows.";
  const root = element(
    "div",
    { class: "start" },
    element("h1", {}, "Drop a checkpoint here"),
    element(
      "p",
      {},
      "A ",
      element("code", {}, ".cairn"),
      " or ",
      element("code", {}, ".safetensors"),
      " file, or the ",
      element("code", {}, ".jsonl"),
      " log of a run. Several are shown beside one another.",
    ),
    element("button", { type: "button", class: "primary", onclick: onChoose }, "Choose files"),
    element("p", { class: "soft" }, where),
  );
  return { root };
}
