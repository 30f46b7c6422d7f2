import type { TextStream } from "../../src/train/log/text_stream.ts";

/** Stands for the sequence "clear to the end of the line". */
const CLEAR = "⌫";

/** A terminal that is as wide as it says, and knows a carriage return, a line's end and "clear to the end". */
export class FakeTerminal implements TextStream {
  readonly isTTY = true;
  readonly columns: number;
  /** Everything that was written. */
  written = "";
  /** What the newest line showed, one after the other, each once. */
  readonly drawn: string[] = [];
  #lines = [""];
  #column = 0;

  constructor(columns = 120) {
    this.columns = columns;
  }

  /** What somebody who looks at it sees. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  write(text: string): void {
    this.written += text;
    for (const [part] of text.replaceAll("\x1b[K", CLEAR).matchAll(/\r|\n|⌫|[^\r\n⌫]+/g)) this.#take(part);
    const line = this.#lines.at(-1) ?? "";
    if (line !== "" && line !== this.drawn.at(-1)) this.drawn.push(line);
  }

  #take(part: string): void {
    const last = this.#lines.length - 1;
    const line = this.#lines[last] ?? "";
    if (part === "\r") this.#column = 0;
    else if (part === "\n") {
      this.#lines.push("");
      this.#column = 0;
    } else if (part === CLEAR) this.#lines[last] = line.slice(0, this.#column);
    else {
      this.#lines[last] = line.slice(0, this.#column) + part + line.slice(this.#column + part.length);
      this.#column += part.length;
    }
  }
}
