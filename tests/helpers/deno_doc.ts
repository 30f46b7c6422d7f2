import { fileURLToPath } from "node:url";
import { denoPath } from "../../tools/runtimes.mjs";
import { entryFiles, isShortcut } from "../examples/doc_examples.ts";
import { runChild } from "./child.ts";

/** What `deno doc` finds, of which the tests read names, types and comments only. */
export type DocNode = { readonly [field: string]: unknown };

/** What `deno doc` says of all doors, each name once. */
export async function denoDoc(...args: string[]): Promise<{ output: string; errors: string }> {
  const files = [...entryFiles().values()].filter((file) => !isShortcut(file)).map((file) =>
    fileURLToPath(new URL(`../../${file}`, import.meta.url))
  );
  return await runChild([denoPath() ?? "deno", "doc", ...args, ...files], { keepsErrors: true });
}

/** A name that a door exports, or that is in a namespace: every declaration of it, with the type of each. */
export interface DocSymbol {
  readonly name: string;
  readonly declarations: readonly DocNode[];
}

/** All that the doors export, those of namespaces too. */
export async function exportedSymbols(): Promise<DocSymbol[]> {
  const found: DocSymbol[] = [];
  const visit = (symbol: DocNode): void => {
    const declarations = nodesIn(symbol.declarations);
    found.push({ name: String(symbol.name), declarations });
    for (const { kind, def } of declarations) {
      if (kind === "namespace" && isNode(def)) nodesIn(def.elements).forEach(visit);
    }
  };
  const { output } = await denoDoc("--json");
  const { nodes } = JSON.parse(output) as { nodes: Record<string, DocNode> };
  for (const page of Object.values(nodes)) nodesIn(page.symbols).forEach(visit);
  return found;
}

/** Whether it is a node: an object, and no list. */
export function isNode(value: unknown): value is DocNode {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The nodes of a list; none where there is no list. */
export function nodesIn(value: unknown): DocNode[] {
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** Whether it is not for users: private, or marked so. */
export function isInternal(node: DocNode): boolean {
  const tags = isNode(node.jsDoc) ? nodesIn(node.jsDoc.tags) : [];
  return node.accessibility === "private" || tags.some(({ kind }) => kind === "internal");
}
