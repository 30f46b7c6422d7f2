/** What the campaign counts over all rows, beside the faults. */
export class Outcome {
  /** Checkpoints whose commit had resolved and that recovery did not give, or a newer one. */
  lost = 0;
  /** States that nobody saved, or none at all where an older checkpoint was there. */
  mixed = 0;
  /** Real processes that were killed. */
  kills = 0;
  /** Keys of the disks that were looked at. */
  readonly images: Set<string> = new Set();
}
