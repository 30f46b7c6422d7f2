import { type DocNode, type DocSymbol, isInternal, isNode, nodesIn } from "./deno_doc.ts";

/** Named so by the language, which says what it does. */
const OF_THE_LANGUAGE = "[Symbol.asyncDispose]";

function hasText({ jsDoc }: DocNode): boolean {
  return isNode(jsDoc) && typeof jsDoc.doc === "string" && jsDoc.doc.trim() !== "";
}

/** What stands in a class or an interface, for users. */
function membersOf({ def }: DocNode): DocNode[] {
  if (!isNode(def)) return [];
  const members = [def.constructors, def.properties, def.methods].flatMap(nodesIn);
  return members.filter((member) => !isInternal(member) && member.name !== OF_THE_LANGUAGE);
}

/** Names of what a class or an interface implements or extends. */
function basesOf({ def }: DocNode): string[] {
  if (!isNode(def)) return [];
  const types = [def.implements, def.extends].flatMap(nodesIn).map(({ value }) =>
    isNode(value) ? value.typeName : ""
  );
  return [def.extends, ...types].filter((name): name is string => typeof name === "string");
}

class Descriptions {
  readonly #symbols: ReadonlyMap<string, DocSymbol>;

  constructor(symbols: readonly DocSymbol[]) {
    this.#symbols = new Map(symbols.map((symbol) => [symbol.name, symbol]));
  }

  /** Whether a member is described by what its class implements or extends, which says it for all that do. */
  isInherited(declaration: DocNode, member: unknown): boolean {
    return basesOf(declaration).some((base) =>
      this.#symbols.get(base)?.declarations.some((other) =>
        membersOf(other).some((each) => each.name === member && hasText(each)) ||
        this.isInherited(other, member)
      )
    );
  }
}

/** Which names, and which members (`Engine.list`), say nothing of themselves, of how many members in all. */
export function undescribed(symbols: readonly DocSymbol[]): { members: number; missing: string[] } {
  const descriptions = new Descriptions(symbols);
  const missing: string[] = [];
  let members = 0;
  for (const { name, declarations } of symbols) {
    if (!declarations.some(hasText)) missing.push(name);
    for (const declaration of declarations) {
      // Of overloads, and of a getter and its setter, one says it for both.
      const byName = Map.groupBy(membersOf(declaration), (member) => member.name);
      for (const [member, same] of byName) {
        members++;
        if (same.some(hasText) || descriptions.isInherited(declaration, member)) continue;
        missing.push(`${name}.${String(member)}`);
      }
    }
  }
  return { members, missing };
}
