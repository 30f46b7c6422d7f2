import { nn } from "@cairn-ml/cairn";

/** How many characters the model looks at. */
export const CONTEXT = 64;

const [WIDTH, HEADS, LAYERS] = [64, 4, 2];

/** A small transformer that gives a score for each character of the alphabet that may be next. */
export function characterModel(alphabet: number): nn.Layer {
  const characters = nn.embedding(alphabet, WIDTH, { weightInitializer: nn.normal(0, WIDTH ** -0.5) });
  return nn.sequential(
    characters,
    nn.learnedPositions(CONTEXT, WIDTH, { weightInitializer: nn.normal(0, 0.02) }),
    ...Array.from({ length: LAYERS }, () => nn.transformerBlock(WIDTH, HEADS, { causal: true })),
    nn.layerNorm(WIDTH),
    characters.attend, // the output's weights are those of the embedding
  );
}
