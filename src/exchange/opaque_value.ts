/**
 * An object of a checkpoint whose class or function is not known here. It was not made: this is what the file says of
 * it, beginning with its name. `Value` is whatever else the file can say.
 */
export class OpaqueValue<Value = unknown> {
  /** The name of the class or function, such as `"pathlib.PosixPath"`. */
  readonly name: string;
  /** What the name was called with; `undefined` where the file has the name alone. */
  args: readonly Value[] | undefined;
  /** The attributes that the object has. */
  state: Value | undefined;
  /** What was appended or added to it. */
  readonly items: Value[] = [];
  /** What was put into it by key. */
  readonly entries: Map<Value, Value> = new Map();

  /** An object of that name, with nothing said of it yet. */
  constructor(name: string) {
    this.name = name;
  }
}
