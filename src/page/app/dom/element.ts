/** What an element may contain. Text is only ever text: nothing here is read as markup. */
export type Child = Node | string | undefined | false;

/** Attributes by name, and listeners by the names of their events behind "on". */
export type Properties = Readonly<Record<string, string | boolean | undefined | ((event: Event) => void)>>;

/** What a page from a file must never get to choose. */
const FORBIDDEN = /^(on.*|src|srcdoc|style|action|formaction|xlink:href)$/i;

/** An element with attributes, listeners and children. Addresses lead only to places of this page. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Properties = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name.slice("on".length), value);
    else if (FORBIDDEN.test(name)) throw new TypeError(`The attribute ${name} is not set here`);
    else if (name === "href" && !String(value).startsWith("#")) {
      throw new TypeError("A link has to stay on the page");
    } else if (value === true) made.setAttribute(name, "");
    else if (typeof value === "string") made.setAttribute(name, value);
  }
  append(made, children);
  return made;
}

/** Puts these in the place of whatever is in `parent`. */
export function fill(parent: Element, ...children: readonly Child[]): void {
  parent.replaceChildren();
  append(parent, children);
}

/** What a person chose in a box or a list. */
export function chosen(event: Event): string {
  const { target } = event;
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement ? target.value : "";
}

function append(parent: Element, children: readonly Child[]): void {
  for (const child of children) if (child !== undefined && child !== false) parent.append(child);
}
