/** What stands in the middle of the page. */
export interface View {
  readonly root: Element;
  /** Called when something became known of the files. */
  update?(): void;
  /** Called when another view takes its place: ends what it has under way. */
  close?(): void;
}
