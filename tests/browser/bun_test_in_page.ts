// As much of "bun:test" as the contract of storages takes, for a page.

type Work = () => Promise<void> | void;

/** What became of a test. */
export interface Result {
  readonly name: string;
  readonly error?: string;
}

interface Registered {
  readonly name: string;
  readonly work: Work;
}

/** One list, though a page may load this module under two names. */
const page = globalThis as { registeredTests?: Registered[] };
const tests = page.registeredTests ??= [];
const around: string[] = [];

export function describe(name: string, work: () => void): void {
  around.push(name);
  work();
  around.pop();
}

export function test(name: string, work: Work): void {
  tests.push({ name: [...around, name].join(" > "), work });
}

/** Runs all tests, one after the other. */
export async function results(): Promise<Result[]> {
  const found: Result[] = [];
  for (const { name, work } of tests) {
    try {
      await work();
      found.push({ name });
    } catch (error) {
      found.push({ name, error: error instanceof Error ? `${error.stack}` : String(error) });
    }
  }
  return found;
}

interface Matchers {
  readonly not: Matchers;
  toBe(expected: unknown): void;
  toEqual(expected: unknown): void;
  toMatchObject(expected: object): void;
  toContain(expected: unknown): void;
  toBeDefined(): void;
  toBeGreaterThan(expected: number): void;
}

export function expect(found: unknown): Matchers {
  return matchers(found, true);
}

function matchers(found: unknown, isWanted: boolean): Matchers {
  const check = (holds: boolean, what: string, expected?: unknown): void => {
    if (holds === isWanted) return;
    const texts = [JSON.stringify(found), JSON.stringify(expected)];
    throw new Error(`expected ${texts[0]}${isWanted ? "" : " not"} ${what} ${texts[1] ?? ""}`);
  };
  return {
    get not() {
      return matchers(found, !isWanted);
    },
    toBe: (expected) => check(Object.is(found, expected), "to be", expected),
    toEqual: (expected) => check(JSON.stringify(found) === JSON.stringify(expected), "to equal", expected),
    toMatchObject: (expected) => {
      const fields = Object.entries(expected);
      check(
        fields.every(([name, value]) => Reflect.get(Object(found), name) === value),
        "to match",
        expected,
      );
    },
    toContain: (expected) => {
      check((found as { includes(part: unknown): boolean }).includes(expected), "to contain", expected);
    },
    toBeDefined: () => check(found !== undefined, "to be defined"),
    toBeGreaterThan: (expected) => check((found as number) > expected, "to be greater than", expected),
  };
}
