import { expect, test } from "bun:test";
import { LogFollower } from "../../../../src/page/app/files/follow_log.ts";
import type { ReadableFiles } from "../../../../src/page/app/files/readable_files.ts";

/** A file that a test changes, and what was read of it. */
class OneFile implements ReadableFiles {
  text = "";
  readonly offsets: number[] = [];
  readBytes = 0;

  openRead(): Promise<never> {
    return Promise.reject(new Error("a log is not opened"));
  }

  readFrom(_path: string, offset: number): Promise<Uint8Array | "shorter"> {
    const bytes = new TextEncoder().encode(this.text);
    this.offsets.push(offset);
    if (bytes.byteLength < offset) return Promise.resolve("shorter");
    this.readBytes += bytes.byteLength - offset;
    return Promise.resolve(bytes.slice(offset));
  }
}

const { signal } = new AbortController();
const line = (step: number, loss: number): string => `${JSON.stringify({ step, loss })}\n`;

function followed() {
  const file = new OneFile();
  const follower = new LogFollower(file, "log.jsonl", "log");
  const losses = (): (number | undefined)[] =>
    (follower.curves.series.get("loss") ?? []).map(({ value }) => value);
  return { file, follower, losses };
}

test("a log that grows is read once, but for a few bytes", async () => {
  const { file, follower, losses } = followed();
  for (let step = 1; step <= 200; step++) file.text += line(step, step);
  expect(await follower.poll(signal)).toBe(true);
  const before = file.readBytes;
  expect(await follower.poll(signal)).toBe(false);
  file.text += line(201, 201);
  expect(await follower.poll(signal)).toBe(true);
  expect(losses()).toHaveLength(201);
  expect(file.readBytes - before).toBeLessThan(600);
});

test("a line that is half written is read when it is whole, also within a letter", async () => {
  const { file, follower, losses } = followed();
  file.text = '{"step":1,"loss":';
  await follower.poll(signal);
  expect(losses()).toEqual([]);
  file.text += "5}\n";
  await follower.poll(signal);
  expect(losses()).toEqual([5]);
});

test("a log that was cut back is read anew, also where it has grown past its old end since", async () => {
  const { file, follower, losses } = followed();
  file.text = line(1, 1) + line(2, 2) + line(3, 3);
  await follower.poll(signal);
  file.text = line(1, 1);
  expect(await follower.poll(signal)).toBe(true);
  expect(losses()).toEqual([1]);
  file.text = line(1, 1) + line(2, 2) + line(3, 3);
  await follower.poll(signal);
  file.text = line(1, 1) + line(2, 9) + line(3, 8) + line(4, 7);
  expect(await follower.poll(signal)).toBe(true);
  expect(losses()).toEqual([1, 9, 8, 7]);
  file.text = "";
  expect(await follower.poll(signal)).toBe(true);
  expect(losses()).toEqual([]);
});
