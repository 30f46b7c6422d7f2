import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { add, mul } from "../../graph/ops/arithmetic.ts";
import { cast, castTransposed } from "../../graph/ops/cast.ts";
import { constant } from "../../graph/ops/sources.ts";
import { reshape } from "../../graph/ops/views.ts";
import type { Value } from "../../graph/value.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { formatShape } from "../../tensor/shape.ts";
import { type Layer, layer } from "../layer.ts";
import type { Scope } from "../scope.ts";
import { placeOf } from "./require_input.ts";

/** Options of {@link fromImages}. */
export interface FromImagesOptions {
  /** What is subtracted after the scale: one number, or one a channel. Default 0. */
  readonly mean?: number | readonly number[] | undefined;
  /** What is divided by then: one number, or one a channel. Default 1. */
  readonly deviation?: number | readonly number[] | undefined;
  /** What each element is multiplied by first. Default 1 / 255. */
  readonly scale?: number | undefined;
}

/** Every option of {@link FromImagesOptions}. */
export const FROM_IMAGES_OPTIONS: OptionNames<FromImagesOptions> = {
  mean: true,
  deviation: true,
  scale: true,
};

/**
 * Images as decoders give them, u8 `[batch, rows, columns, channels]` or `[batch, rows, columns]`, as what convolutions
 * take: f32 `[batch, channels, rows, columns]`, `(scale * x - mean) / deviation`, as torchvision's `ToTensor` and
 * `Normalize` do. They are uploaded as bytes, and one kernel does all of it, or the one that reads it.
 *
 * @throws RangeError for a number that is not finite, or a deviation of 0; TypeError for another number of channels.
 */
export function fromImages(options: FromImagesOptions = {}): Layer {
  const { mean = 0, deviation = 1, scale = 1 / 255 } = checkOptions(
    "fromImages()",
    options,
    FROM_IMAGES_OPTIONS,
    "{ mean: 0.5, deviation: 0.5 }",
  );
  requireFinite("mean", mean);
  requireFinite("deviation", deviation);
  requireFinite("scale", scale);
  if ([deviation].flat().includes(0)) throw new RangeError("deviation of fromImages() is not 0");
  return layer((x, scope) => {
    const [batch = 0, rows = 0, columns = 0, channels = 1] = imagesIn(x, scope);
    const ofChannel = (value: number | readonly number[]): readonly number[] =>
      typeof value === "number" ? Array.from({ length: channels }, () => value) : value;
    const [means, deviations] = [ofChannel(mean), ofChannel(deviation)];
    if (means.length !== channels || deviations.length !== channels) {
      throw new TypeError(
        `${placeOf("fromImages()", scope)}: its images are ${
          formatShape(x.shape)
        }, of ${channels} channels, and there are ${means.length} ` +
          `means and ${deviations.length} deviations; give one number, or one a channel`,
      );
    }
    const factors = deviations.map((each) => scale / each);
    const offsets = means.map((each, channel) => -each / (deviations[channel] ?? 1));
    const perChannel = (values: readonly number[]): Value =>
      constant(HostTensor.from(values, [channels, 1, 1], "f32"));
    const planes = channels === 1
      ? reshape(cast(x, "f32"), [batch, 1, rows, columns])
      : castTransposed(x, "f32", [0, 3, 1, 2]);
    return add(mul(planes, perChannel(factors)), perChannel(offsets));
  }, "fromImages()");
}

function imagesIn(x: Value, scope: Scope): readonly number[] {
  if (x.shape.length === 3 || x.shape.length === 4) return x.shape;
  throw new TypeError(
    `${
      placeOf("fromImages()", scope)
    }: takes [batch, rows, columns, channels] or [batch, rows, columns], found ` +
      `${formatShape(x.shape)}`,
  );
}

function requireFinite(name: string, value: number | readonly number[]): void {
  const wrong = [value].flat().find((each) => !Number.isFinite(each));
  if (wrong === undefined) return;
  throw new RangeError(`${name} of fromImages() is a finite number, or a list of them, found ${wrong}`);
}
