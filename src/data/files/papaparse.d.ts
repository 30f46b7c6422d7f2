/** What is used of Papa Parse, which has no types of its own. */
declare module "papaparse" {
  interface ParsedRows {
    readonly data: string[][];
    readonly errors: readonly { readonly message: string; readonly row: number }[];
    /** How many characters were taken. */
    readonly meta: { readonly cursor: number };
  }
  class Parser {
    constructor(config: { readonly delimiter: string; readonly newline: "\n" | "\r\n" | "\r" });
    parse(input: string, baseIndex: number, ignoreLastRow: boolean): ParsedRows;
  }
  const papa: { readonly Parser: typeof Parser };
  export default papa;
}
