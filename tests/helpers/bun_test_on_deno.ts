/**
 * `bun:test` for Deno: the import map sends the tests' `bun:test` here.
 *
 * Every test becomes one flat `node:test` test called "outer > inner > name", so that `deno test` counts and filters
 * tests as Bun does (a nested `describe` would count as one test with steps). The hooks are therefore run here.
 */
import nodeTest from "node:test";

export { expect } from "expect";

type Work = () => unknown;
type Timeout = number | { timeout?: number };

/** Bun stops a test after 5 s; a slow machine gets more here, and a test that hangs still ends. */
const DEFAULT_TIMEOUT_MS = 600_000;

interface Suite {
  readonly name: string;
  readonly parent: Suite | undefined;
  readonly isSkipped: boolean;
  readonly hooks: Record<"beforeAll" | "afterAll" | "beforeEach" | "afterEach", Work[]>;
  /** Tests in it and below it that have not ended yet; `afterAll` runs when none is left. */
  unfinished: number;
  opening: Promise<void> | undefined;
}

function createSuite(name: string, parent: Suite | undefined, isSkipped: boolean): Suite {
  const hooks = { beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] };
  return { name, parent, isSkipped, hooks, unfinished: 0, opening: undefined };
}

let current: Suite = createSuite("", undefined, false);

/** The suites around a test, outermost first. */
function suitesAround(suite: Suite): Suite[] {
  return suite.parent === undefined ? [suite] : [...suitesAround(suite.parent), suite];
}

async function runAll(work: readonly Work[]): Promise<void> {
  for (const step of work) await step();
}

/** Runs every step even when one throws, and then throws the first error. */
async function runAllAnyway(work: readonly Work[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of work) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}

async function runTest(suites: readonly Suite[], body: Work): Promise<void> {
  const inwards = suites;
  const outwards = suites.toReversed();
  const run = async (): Promise<void> => {
    for (const suite of inwards) await (suite.opening ??= runAll(suite.hooks.beforeAll));
    for (const suite of inwards) await runAll(suite.hooks.beforeEach);
    await body();
  };
  const clean = outwards.map((suite) => () => runAllAnyway(suite.hooks.afterEach));
  const finish = outwards.map((suite) => async () => {
    suite.unfinished -= 1;
    if (suite.unfinished === 0) await runAllAnyway(suite.hooks.afterAll);
  });
  await runAllAnyway([run, ...clean, ...finish]);
}

function register(
  name: string,
  body: Work | undefined,
  timeout: Timeout | undefined,
  isSkipped: boolean,
): void {
  const suites = suitesAround(current);
  const fullName = [...suites.map((suite) => suite.name), name].filter((part) => part !== "").join(" > ");
  if (isSkipped || body === undefined || suites.some((suite) => suite.isSkipped)) {
    void nodeTest(fullName, { skip: true }, () => {});
    return;
  }
  for (const suite of suites) suite.unfinished += 1;
  const milliseconds = typeof timeout === "number" ? timeout : timeout?.timeout;
  void nodeTest(fullName, { timeout: milliseconds ?? DEFAULT_TIMEOUT_MS }, () => runTest(suites, body));
}

function registerSuite(name: string, body: () => void, isSkipped: boolean): void {
  const outer = current;
  current = createSuite(name, outer, isSkipped);
  try {
    body();
  } finally {
    current = outer;
  }
}

/** `%s`, `%d`, `%i`, `%p`, `%j` and `%o` take the row's values in order, `%#` is the row's number. */
function rowName(template: string, row: readonly unknown[], index: number): string {
  let next = 0;
  return template.replaceAll(/%[sdifpjo#%]/g, (mark) => {
    if (mark === "%%") return "%";
    if (mark === "%#") return String(index);
    const value = row[next++];
    return typeof value === "string" || typeof value === "bigint"
      ? String(value)
      : JSON.stringify(value) ?? String(value);
  });
}

/** Loads a file of tests as one suite of that name: its hooks at the top level are then for its own tests alone. */
export async function describeFile(name: string, load: () => Promise<unknown>): Promise<void> {
  const outer = current;
  current = createSuite(name, outer, false);
  try {
    await load();
  } finally {
    current = outer;
  }
}

// deno-lint-ignore no-explicit-any -- the arguments are whatever a row of the table holds, as in bun:test
type RowBody = (...row: any[]) => unknown;

function eachRow(
  table: readonly unknown[],
  use: (name: string, call: Work) => void,
  template: string,
  body: RowBody,
): void {
  table.forEach((entry, index) => {
    const row = Array.isArray(entry) ? entry : [entry];
    use(rowName(template, row, index), () => body(...row));
  });
}

/** The callable `test`, with the variants that the tests use. */
export interface TestFunction {
  (name: string, body: Work, timeout?: Timeout): void;
  skip(name: string, body?: Work, timeout?: Timeout): void;
  todo(name: string, body?: Work, timeout?: Timeout): void;
  skipIf(condition: boolean): (name: string, body: Work, timeout?: Timeout) => void;
  if(condition: boolean): (name: string, body: Work, timeout?: Timeout) => void;
  each(table: readonly unknown[]): (name: string, body: RowBody, timeout?: Timeout) => void;
}

/** The callable `describe`, with the variants that the tests use. */
export interface DescribeFunction {
  (name: string, body: () => void): void;
  skip(name: string, body: () => void): void;
  skipIf(condition: boolean): (name: string, body: () => void) => void;
  if(condition: boolean): (name: string, body: () => void) => void;
  each(table: readonly unknown[]): (name: string, body: RowBody) => void;
}

const testIf = (runs: boolean) => (name: string, body: Work, timeout?: Timeout): void =>
  register(name, body, timeout, !runs);

export const test: TestFunction = Object.assign(testIf(true), {
  skip: (name: string, body?: Work, timeout?: Timeout): void => register(name, body, timeout, true),
  todo: (name: string, body?: Work, timeout?: Timeout): void => register(name, body, timeout, true),
  skipIf: (condition: boolean) => testIf(!condition),
  if: testIf,
  each: (table: readonly unknown[]) => (name: string, body: RowBody, timeout?: Timeout): void =>
    eachRow(table, (title, call) => register(title, call, timeout, false), name, body),
});

export const it: TestFunction = test;

const describeIf = (runs: boolean) => (name: string, body: () => void): void =>
  registerSuite(name, body, !runs);

export const describe: DescribeFunction = Object.assign(describeIf(true), {
  skip: describeIf(false),
  skipIf: (condition: boolean) => describeIf(!condition),
  if: describeIf,
  each: (table: readonly unknown[]) => (name: string, body: RowBody): void =>
    eachRow(table, (title, call) => registerSuite(title, () => void call(), false), name, body),
});

/** Runs before the first test of the suite around it. */
export function beforeAll(work: Work): void {
  current.hooks.beforeAll.push(work);
}

/** Runs after the last test of the suite around it (not when `--filter` leaves some of them out). */
export function afterAll(work: Work): void {
  current.hooks.afterAll.push(work);
}

/** Runs before each test of the suite around it. */
export function beforeEach(work: Work): void {
  current.hooks.beforeEach.push(work);
}

/** Runs after each test of the suite around it, also after a failed one. */
export function afterEach(work: Work): void {
  current.hooks.afterEach.push(work);
}
