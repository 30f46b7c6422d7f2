/** What the whole campaign counts. */
export class S3Outcome {
  lost = 0;
  mixed = 0;
}
