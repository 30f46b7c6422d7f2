// Opens the page in headless Chromium as `cairn serve` serves it, and as a file of a disk, and prints one line a check:
// what a person sees, what was asked of the server for it, and that nothing of a file ever runs.
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { pageText } from "../dist/src/page/server/page_text.js";
import { servePage } from "../dist/src/page/server/serve_page.js";
import { bytesSource, ContainerReader } from "@cairn-ml/cairn/container";
import {
  cairnBytes,
  HOSTILE,
  weights,
  writeDamaged,
  writeGigabyte,
  writeHostile,
} from "../tests/page/chromium_files.mjs";
import { Chromium } from "./chromium.mjs";
import { chromiumPath, NO_CHROMIUM } from "./runtimes.mjs";

const program = chromiumPath();
if (program === undefined || !existsSync(program)) {
  console.error(
    `page_test: ${program === undefined ? NO_CHROMIUM : `CHROMIUM is ${program}, which is not there`}`,
  );
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), "cairn-page-"));
const browser = new Chromium(program);
const tally = { passed: 0, failed: 0 };

/** A page of its own for each check, which must end without a complaint of the browser. */
async function check(name, work) {
  const page = await browser.open();
  try {
    const note = await work(page);
    expectThat(page.problems.length === 0, `the browser says ${JSON.stringify(page.problems)}`);
    tally.passed++;
    console.log(`ok  ${name}${note === undefined ? "" : ` (${note})`}`);
  } catch (error) {
    tally.failed++;
    console.log(`FAILED  ${name}: ${error?.stack ?? error}`);
  }
  await page.close();
}

function expectThat(holds, message) {
  if (!holds) throw new Error(message);
}

/** Runs `work` with the address of a server for `location`. */
async function served(location, work) {
  const server = await servePage(location);
  try {
    return await work(server.url);
  } finally {
    await server.close();
  }
}

const place = (...names) => join(folder, ...names);
const isShown = (text) => `document.querySelector("main").innerText.includes(${JSON.stringify(text)})`;

async function opensGigabyte(page) {
  await writeGigabyte(place("large.cairn"));
  const { size } = statSync(place("large.cairn"));
  expectThat(size >= 2 ** 30, `the file has ${size} bytes`);
  return await served(place("large.cairn"), async (url) => {
    const start = performance.now();
    await page.goto(url);
    await page.waitFor(isShown("1023 × 512 × 512"));
    const ms = performance.now() - start;
    await page.waitFor(isShown("head"));
    // The browser says a little later how long each was.
    const isCounted = () => page.requests.every(({ bytes: each }) => each > 0);
    for (let looks = 0; !isCounted() && looks < 200; looks++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expectThat(isCounted(), `a request was not counted: ${JSON.stringify(page.requests)}`);
    const bytes = page.requests.reduce((sum, request) => sum + request.bytes, 0);
    const urls = page.requests.map((request) => request.url.slice(url.length));
    expectThat(page.requests.length <= 4, `it took ${page.requests.length} requests: ${urls}`);
    expectThat(bytes < size / 100, `it took ${bytes} of ${size} bytes`);
    return `${page.requests.length} requests, the page's own among them, ${bytes} bytes, ${ms.toFixed(0)} ms`;
  });
}

async function readsSample(page) {
  return await served(place("large.cairn"), async (url) => {
    await page.goto(url);
    await page.click("tr.tensor:last-child button.leaf");
    await page.waitFor(`document.querySelector(".panel figure svg") !== null`);
    await page.waitFor(isShown("1,048,576 of its 268,173,312 elements"));
    const bytes = page.requests.reduce((sum, request) => sum + request.bytes, 0);
    expectThat(bytes < 40 * 2 ** 20, `it took ${bytes} bytes`);
  });
}

async function showsDamage(page) {
  await writeDamaged(place("damaged.cairn"));
  await served(place("damaged.cairn"), async (url) => {
    await page.goto(url);
    await page.click("button.leaf", "b");
    await page.waitFor(isShown("This tensor cannot be read"));
    await page.waitFor(isShown("checksum_mismatch"));
    const badges =
      `[...document.querySelectorAll("tr.tensor:has(.badge.bad) .leaf")].map((leaf) => leaf.title).join()`;
    expectThat(await page.evaluate(badges) === "model.b", `damaged are ${await page.evaluate(badges)}`);
    await page.click("button.leaf", "a");
    await page.waitFor(`document.querySelector(".panel figure svg") !== null`);
    await page.goto(url);
    await page.click("button", "Verify every byte");
    await page.waitFor(`document.querySelector(".toolbar .badge.bad") !== null`);
    expectThat(await page.evaluate(badges) === "model.b", `after verifying, ${await page.evaluate(badges)}`);
  });
}

async function refusesForeign(page) {
  writeFileSync(
    place("foreign.cairn"),
    "<!doctype html><title>Log in</title><script>globalThis.ran=true</script>",
  );
  await served(place("foreign.cairn"), async (url) => {
    await page.goto(url);
    await page.waitFor(isShown("This file cannot be opened"));
    await page.waitFor(isShown("not_a_container"));
  });
}

async function runsNothing(page) {
  const hostile = join("hostile", `${HOSTILE}.cairn`);
  mkdirSync(place("hostile", HOSTILE), { recursive: true });
  await writeHostile(place(hostile));
  await writeHostile(place("hostile", "again.cairn"));
  const line = { step: 1, loss: 1, [HOSTILE]: 2, metrics: { [HOSTILE]: 3 }, kind: HOSTILE };
  writeFileSync(place("hostile", HOSTILE, `${HOSTILE}.jsonl`), `${JSON.stringify(line)}\n${HOSTILE}\n`);
  await served(place("hostile"), async (url) => {
    const visited = [];
    const visit = async (hash, text) => {
      await page.goto(`${url}${hash}`);
      await page.waitFor(isShown(text));
      visited.push(
        await page.evaluate(
          `[...document.querySelectorAll("img, iframe, object, main script, [onerror]")].length`,
        ),
      );
    };
    await visit("#curves", HOSTILE);
    await page.goto("about:blank");
    await visit(`#file=${encodeURIComponent(`${HOSTILE}.cairn`)}`, HOSTILE);
    await page.click("button.leaf");
    await page.waitFor(`document.querySelector(".panel figure svg") !== null`);
    await page.click("[role=tab]", "State");
    await page.waitFor(isShown(`"${HOSTILE}"`));
    visited.push(await page.evaluate(`document.querySelectorAll("img").length`));
    await page.goto("about:blank");
    await visit("#lineage", "Lineage");
    await page.waitFor(`document.querySelectorAll("main svg circle").length > 0`);
    await page.goto("about:blank");
    await visit("#compare", "Compare");
    await page.click("main button", "Compare");
    await page.waitFor(isShown("equal bits"));
    expectThat(visited.every((count) => count === 0), `elements were made of names: ${visited}`);
    expectThat(await page.evaluate("globalThis.ran === undefined"), "a script of a file ran");
  });
}

async function refusesMarkup(page) {
  await served(place("damaged.cairn"), async (url) => {
    await page.goto(url);
    await page.waitFor(isShown("model"));
    const refused = await page.evaluate(`(() => {
      try { document.body.innerHTML = "<b>x</b>"; return "made"; } catch (error) { return error.name; }
    })()`);
    expectThat(refused === "TypeError", `markup was ${refused}`);
    page.problems.length = 0;
  });
}

async function opensDropped(page) {
  writeFileSync(place("page.html"), pageText());
  writeFileSync(
    place("dropped.cairn"),
    await cairnBytes({ "model.weight": weights(512, 5) }, { metrics: { val_loss: 0.25 } }),
  );
  await page.goto(pathToFileURL(place("page.html")).href);
  await page.waitForText("Drop a checkpoint here");
  await page.dropFiles([place("dropped.cairn")]);
  await page.waitFor(isShown("dropped.cairn"));
  await page.waitFor(isShown("0.25"));
  await page.click("button.leaf", "weight");
  await page.waitFor(`document.querySelector(".panel figure svg") !== null`);
  expectThat(page.requests.length === 0, `it asked for ${page.requests.map(({ url }) => url)}`);
}

async function comparesDropped(page) {
  const same = weights(300, 1);
  const before = { "model.same": same, "model.moved": Float32Array.of(1, 2, 2), "model.gone": same };
  const after = { "model.same": same, "model.moved": Float32Array.of(1, 2, 3), "model.new": same };
  writeFileSync(place("before.cairn"), await cairnBytes(before, { provenance: { step: 1 } }));
  writeFileSync(place("after.cairn"), await cairnBytes(after, { provenance: { step: 2 } }));
  await page.goto(pathToFileURL(place("page.html")).href);
  await page.waitForText("Drop a checkpoint here");
  await page.dropFiles([place("before.cairn"), place("after.cairn")]);
  await page.waitFor("location.hash === '#compare'");
  await page.evaluate(`for (const [index, name] of ["before.cairn", "after.cairn"].entries()) {
    const select = document.querySelectorAll("select")[index];
    select.value = name;
    select.dispatchEvent(new Event("change"));
  }`);
  await page.click("main button", "Compare");
  await page.waitFor(isShown("3 of 4 tensors differ"));
  const rows = await page.evaluate(`[...document.querySelectorAll("tbody tr")].map((row) =>
    [...row.cells].map((cell) => cell.innerText).join(" | ")).sort().join("\\n")`);
  const expected = [
    "model.gone | 300 | only in A",
    "model.moved | 3 | 33.3 % | 1 | 0.333 | 0.979958",
    "model.new | 300 | only in B",
  ].join("\n");
  expectThat(rows === expected, `the table says\n${rows}\nexpected\n${expected}`);
  expectThat(await page.evaluate(isShown("1 → 2")), "the steps are not beside one another");
}

async function followsLog(page) {
  const log = place("live", "run", "log.jsonl");
  mkdirSync(place("live", "run"), { recursive: true });
  const line = (step, loss) =>
    [
      { kind: "step", step, loss, rate: 0.1 },
      { kind: "epoch", step, epoch: step, metrics: { loss: 99, val_loss: loss + 1 } },
    ].map((entry) => `${JSON.stringify(entry)}\n`).join("");
  writeFileSync(log, line(1, 4) + line(2, 3));
  await served(place("live"), async (url) => {
    await page.goto(url);
    await page.waitFor(isShown("step 2, loss 3"));
    await page.waitFor(`document.querySelectorAll("main figure svg").length === 2`);
    appendFileSync(log, line(3, 2).slice(0, 8));
    appendFileSync(log, line(3, 2).slice(8) + line(4, 1.5));
    await page.waitFor(isShown("step 4, loss 1.5"));
    // A run that went on from an earlier step cuts its log back, and may write as much again.
    writeFileSync(log, line(1, 4) + line(2, 3) + line(3, 9) + line(4, 8) + line(5, 7));
    await page.waitFor(isShown("step 5, loss 7"));
    writeFileSync(log, line(1, 4));
    await page.waitFor(isShown("step 1, loss 4"));
    writeFileSync(
      place("live", "run", "100.cairn"),
      await cairnBytes({ w: weights(64, 1) }, { provenance: { step: 100 } }),
    );
    await page.waitFor(`document.querySelector("nav").innerText.includes("step 100")`);
    expectThat(
      await page.evaluate(`document.querySelector(".status").innerText === "live"`),
      "it is not live",
    );
  });
  await page.waitFor(`document.querySelector(".status").innerText === "server gone"`);
  // That the server is gone is what the browser complains of.
  page.problems.length = 0;
}

async function drawsLineage(page) {
  const runId = "ab".repeat(16);
  mkdirSync(place("lineage"));
  const save = async (step, order, from) => {
    const provenance = { step, order, runId, ...(from === undefined ? {} : { parent: from }) };
    const bytes = await cairnBytes({ w: weights(64, order) }, { provenance });
    writeFileSync(place("lineage", `${order}.cairn`), bytes);
    return (await ContainerReader.open(bytesSource(bytes))).fileId;
  };
  await save(1, 1);
  const parent = await save(2, 2);
  await save(3, 3, parent);
  await save(4, 4, parent);
  const other = await save(3, 5, parent);
  await save(4, 6, other);
  await served(place("lineage"), async (url) => {
    await page.goto(`${url}#lineage`);
    await page.waitFor(`document.querySelectorAll("main svg a circle").length === 6`);
    const open =
      `document.querySelector("main svg a").dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }))`;
    await page.evaluate(open);
    await page.waitFor(`location.hash.startsWith("#file=")`);
    await page.waitFor(isShown("1 tensors"));
  });
}

try {
  await check("opens a file of 1 GiB with at most 4 requests and less than 1 % of its bytes", opensGigabyte);
  await check("shows a tensor of 1 GiB by a sample, and says so", readsSample);
  await check("shows a damaged tensor as such, and the others as they are", showsDamage);
  await check("says what is wrong with a file that is none", refusesForeign);
  await check("shows names that are markup as text, in every view, and runs nothing", runsNothing);
  await check("markup cannot be made on the page at all", refusesMarkup);
  await check("as a file of a disk, opens a dropped file and asks nobody for anything", opensDropped);
  await check("compares two dropped checkpoints", comparesDropped);
  await check("follows a log that grows and is cut back, and finds new checkpoints", followsLog);
  await check("draws which checkpoint came of which, and opens one by a click", drawsLineage);
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${tally.passed} passed, ${tally.failed} failed`);
process.exit(tally.failed > 0 ? 1 : 0);
