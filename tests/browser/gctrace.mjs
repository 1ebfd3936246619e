/**
 * The page of `plimsoll gctrace --listen` in a real browser, over a real program.
 *
 *   PLIMSOLL_BINARY=build/plimsoll node --test-reporter=tap tests/browser/gctrace.mjs
 */
import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";

import { Chrome, CHROMIUM, PHONE, findings } from "./chrome.mjs";
import { by, until } from "./looking.mjs";

const BINARY = process.env.PLIMSOLL_BINARY ?? "build/plimsoll";
const GODEMO = process.env.PLIMSOLL_GODEMO ?? join(dirname(BINARY), "tests/loads/godemo");
const SHOTS = process.env.PLIMSOLL_SHOTS;
const HOSTILE = "<img src=x onerror=document.title='run'>";

function skipAll(reason) {
    console.log(`1..0 # SKIP ${reason}`);
    process.exit(0);
}

if (!existsSync(CHROMIUM)) skipAll(`no browser at ${CHROMIUM} (apt-get install chromium)`);
if (!existsSync(join(dirname(BINARY), "plimsoll-inspect"))) skipAll("this build has no plimsoll-inspect");

const chrome = await Chrome.launch();
const running = new Set();
after(async () => {
    for (const child of running) child.kill("SIGKILL");
    await chrome.close();
});

/** Starts gctrace with a page on a free port; gives its address and the process. */
async function start(options, command) {
    const child = spawn(BINARY, ["gctrace", "--listen", "127.0.0.1:0", ...options, "--", ...command],
        { stdio: ["ignore", "ignore", "pipe"] });
    running.add(child);
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (said += text));
    const done = new Promise((resolve) => child.on("exit", (code) => {
        running.delete(child);
        resolve(code);
    }));
    const url = await until(() => /http:\/\/\S+/.exec(said)?.[0], "the address of the page");
    return { url, child, done, said: () => said };
}

/** A program that writes the collector's lines, one each tenth of a second; each fifth is forced. */
function writer(lines) {
    return ["sh", "-c", `i=1; while [ $i -le ${lines} ]; do f=; [ $((i % 5)) -eq 0 ] && f=" (forced)"
        echo "gc $i @$i.5s 2%: 0.05+1.9+0.03 ms clock, 0.1+0.5/0.1/0.2+0.06 ms cpu, $((i + 4))->$((i + 5))->$i MB, $((i + 8)) MB goal, 0 MB stacks, 0 MB globals, 2 P$f" >&2
        [ $i -eq 3 ] && echo "scvg0: inuse: 3, idle: 59, sys: 63, released: 57, consumed: 6 (MB)" >&2
        i=$((i + 1)); sleep 0.1; done; exit 3`, HOSTILE];
}

const points = (page, id) => by(page, `chart-${id}`).getAttribute("data-points").then(Number, () => 0);
const value = (page, id) => by(page, `line-${id}`).getAttribute("data-value").then(Number);
const linkState = (page) => by(page, "link").getAttribute("data-state");

/** What the chart looks like. */
const picture = (page, id) =>
    page.locator(`[data-testid="chart-${id}"] canvas`).evaluate((canvas) => canvas.toDataURL());

test("a Go program's heap, pauses and share move on the page as it runs", { skip: !existsSync(GODEMO) && "no go compiler" },
    async () => {
        const run = await start([], [GODEMO, "-step", "5", "-seconds", "100", "saw", "40"]);
        const page = await chrome.open(run.url);
        await until(async () => (await points(page, "heap")) >= 3, "three collections");
        const before = await points(page, "heap");
        const seen = await picture(page, "heap");
        await until(async () => (await points(page, "heap")) > before + 2, "more collections");
        assert.equal(await points(page, "pauses"), await points(page, "share"));
        await until(async () => (await picture(page, "heap")) !== seen, "the picture moves");
        assert.ok((await value(page, "heap_end")) >= 2 ** 20);
        const told = await (await fetch(`${run.url}api/v1/gctrace`)).json();
        assert.equal(told.columns.length, told.points[0].length);
        assert.ok(told.summary.collections >= before);
        if (SHOTS) await page.screenshot({ path: join(SHOTS, "gctrace-live.png"), fullPage: true });
        run.child.kill("SIGTERM"); // the program is told, and ends
        assert.equal(await run.done, 0);
        await until(async () => (await linkState(page)) === "ended", "the end is told");
        await page.context().close();
    });

test("forced collections are marked, a hostile name is text, and the end stays on the page", async () => {
    const run = await start(["--stay"], writer(12));
    const page = await chrome.open(run.url);
    await until(async () => (await linkState(page)) === "ended", "the end is told");
    assert.equal(await points(page, "heap"), 12);
    assert.equal(await by(page, "chart-heap").getAttribute("data-marks"), "2");
    assert.equal(await value(page, "live"), 12 * 2 ** 20);
    assert.equal(await value(page, "sys"), 63 * 2 ** 20);
    assert.equal(await by(page, "figure-forced").locator("b").innerText(), "2");
    assert.match(await by(page, "link").innerText(), /exit code 3/);
    assert.ok((await by(page, "command").innerText()).includes(HOSTILE));
    assert.equal(await page.title(), "gctrace - Plimsoll");
    if (SHOTS) await page.screenshot({ path: join(SHOTS, "gctrace-ended.png"), fullPage: true });
    await page.reload(); // --stay: it is served still
    await until(async () => (await points(page, "heap")) === 12, "the history from the start");
    await page.context().close();
    run.child.kill("SIGTERM");
    assert.equal(await run.done, 3, "the program's exit code");
});

test("both languages, a small screen and the dark, without findings of axe", async () => {
    const run = await start(["--stay"], writer(8));
    for (const options of [{}, { viewport: PHONE, colorScheme: "dark", locale: "zh-CN" }]) {
        const page = await chrome.open(run.url, options);
        await until(async () => (await points(page, "heap")) >= 5, "points");
        const chinese = options.locale === "zh-CN";
        assert.equal(await page.locator("html").getAttribute("lang"), chinese ? "zh" : "en");
        assert.match(await by(page, "figure-collections").innerText(), chinese ? /回收次数/ : /collections/);
        assert.deepEqual(await findings(page), []);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${wide} pixels too wide`);
        if (SHOTS) await page.screenshot({ path: join(SHOTS, `gctrace-${chinese ? "zh" : "en"}.png`), fullPage: true });
        await page.context().close();
    }
    run.child.kill("SIGTERM");
    await run.done;
});

test("no page complained, and none asked another host", () => {
    assert.deepEqual(chrome.complaints, []);
});
