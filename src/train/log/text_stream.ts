/** The part of a Node stream that is written to. */
export interface TextStream {
  /** Whether a person may be looking: then a line is drawn over. */
  readonly isTTY?: boolean;
  /** How many characters a line of the terminal has. */
  readonly columns?: number;
  /** Writes text. */
  write(text: string): unknown;
}
