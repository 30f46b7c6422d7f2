declare module "mnist" {
  /** One digit's samples: 784 values from 0 to 1 a picture, one picture after the other. */
  interface DigitSamples {
    readonly raw: ArrayLike<number>;
    readonly length: number;
  }
  const digits: readonly DigitSamples[];
  export default digits;
}
