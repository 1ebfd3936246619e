/**
 * The page in a real browser, over a real agent that watches a real Docker engine.
 *
 *   PLIMSOLL_BINARY=build/plimsoll [PLIMSOLL_SHOTS=DIR] node --test-reporter=tap tests/browser/page.mjs
 *
 * The tests share one scene and go on where the one before left off. With PLIMSOLL_SHOTS pictures of
 * the overview and of a container are written there.
 */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

import { Chrome, CHROMIUM, LAPTOP, PHONE, findings } from "./chrome.mjs";
import { PATIENCE, address, barWidth, by, cell, containerPath, count, isLive, linkText, names, pause,
    rowOf, until, untilNames, usedPct } from "./looking.mjs";
import { Scene } from "./scene.mjs";

const SHOTS = process.env.PLIMSOLL_SHOTS;
const WITHIN_MS = 3000 * PATIENCE;
const OURS = "label:env=demo"; // as scene.py has it
// What they do is written in tests/loads/demo.c; `report` is killed and started again.
const STARTED = [
    { name: "report", mib: 32, words: ["-s", "330", "climb", "60"],
        options: ["--restart", "on-failure:50"] },
    { name: "payments", mib: 96, words: ["-s", "800", "climb", "90"], shop: true },
    { name: "cache", mib: 64, words: ["-s", "50", "-d", "/tmp", "cache", "60"] },
    { name: "search", mib: 128, words: ["-s", "150", "-n", "1000", "saw", "40"] },
];

const PICTURED = [
    { name: "mailer", mib: 80, words: ["burst", "62"], shop: true },
    { name: "login", mib: 0, words: ["-s", "1000", "-n", "1000", "saw", "20"], shop: true },
    { name: "billing", mib: 128, words: ["-s", "1500", "climb", "90"] },
];

function skipAll(reason) {
    console.log(`1..0 # SKIP ${reason}`);
    process.exit(0);
}

if (!existsSync(CHROMIUM)) {
    skipAll(`no browser at ${CHROMIUM} (apt-get install chromium)`);
}
const [{ scene, skip }, chrome] = await Promise.all([
    Scene.start(process.env.PLIMSOLL_BINARY ?? "build/plimsoll"), Chrome.launch()]);
if (skip) {
    await chrome.close();
    skipAll(skip);
}
after(async () => {
    await chrome.close();
    await scene.close();
});

const page = await chrome.open(address(scene.url, "/", { q: OURS }));

/** A test on the shared page: what it shows when the test fails is told. */
function look(claim, body) {
    test(claim, { timeout: 180_000 * PATIENCE }, async (t) => {
        try {
            await body(t);
        } catch (error) {
            const seen = await page.evaluate(() => [location.href, document.body.innerText])
                .catch(() => ["the page is gone", ""]);
            t.diagnostic(`at ${seen[0]}:\n${seen[1].slice(0, 1500)}`);
            throw error;
        }
    });
}

/** Another view on the shared page; a changed address is a view, not a reload. */
async function show(path, words) {
    await page.goto(address(scene.url, path, words));
}

/** Of our containers alone: the machine may have many others. */
async function overview() {
    await show("/", { q: OURS });
    await rowOf(page, "web").waitFor();
}

// --- what happens now --------------------------------------------------------------------------

look("containers of a real Docker engine appear within 3 s of their start", async (t) => {
    await rowOf(page, "web").waitFor();
    const took = [];
    for (const container of STARTED) {
        await scene.do("run", container);
        const begun = performance.now();
        await rowOf(page, container.name).waitFor();
        took.push(Math.round(performance.now() - begun));
    }
    t.diagnostic(`each on the page so long after docker run: ${took.join(", ")} ms`);
    assert.ok(took.sort((a, b) => a - b)[1] < WITHIN_MS, `most of them took longer: ${took}`);
});

look("a container that climbs has a bar that moves, and a number that agrees with the agent's", async () => {
    const [pct, width] = [await usedPct(page, "payments"), await barWidth(page, "payments")];
    await until(async () => (await usedPct(page, "payments")) > pct + 4, "the bar's number grows");
    assert.ok((await barWidth(page, "payments")) > width + 2, "the bar is longer than before");
    const { targets } = await scene.api("api/v1/targets?target=payments");
    const shown = await usedPct(page, "payments");
    assert.ok(Math.abs(shown - targets[0].used_pct) < 6, `${shown} % beside ${targets[0].used_pct} %`);
});

look("rows say what state they are in, in words", async () => {
    await until(async () => (await cell(page, "cache", "state").getAttribute("data-state"))
        === "cache-bound", "cache is cache-bound");
    assert.match(await cell(page, "cache", "state").innerText(), /cache-bound/);
    await until(async () => ["ok", "steady"].includes(
        await cell(page, "web", "state").getAttribute("data-state")), "web is steady");
});

look("an OOM kill is counted in its row, and a restart by Docker", async () => {
    await until(() => count(page, "report", "ooms"), "a kill in the row", 30);
    await until(() => count(page, "report", "restarts"), "a restart in the row", 30);
    const docker = await scene.do("restarts", { name: "report" });
    const shown = await count(page, "report", "restarts");
    assert.ok(shown >= 1 && shown <= docker + 1, `${shown} restarts beside Docker's ${docker}`);
});

look("an OOM kill is a mark on the container's charts, in its list and on the timeline", async () => {
    await rowOf(page, "report").getByTestId("name").getByRole("link").click();
    await by(page, "container").waitFor();
    const mark = page.locator('[data-testid="mark"][data-kind="oom"]').first();
    await mark.waitFor();
    assert.match(await mark.innerText(), /kill/i);
    const listed = page.locator('[data-testid="event"][data-kind="oom"]').first();
    assert.match(await listed.innerText(), /demo/, "the victim by its name");
    await page.keyboard.press("t");
    await by(page, "timeline").waitFor();
    await page.locator('[data-testid="event"]').filter({ hasText: "report" }).first().waitFor();
    const { events } = await scene.api("api/v1/events?kind=oom&from=-5m");
    const at = events.find(({ name }) => name === "report")?.at_ms ?? 0;
    assert.ok(Date.now() - at < 300_000, `the agent's own list has it, at ${at}`);
});

look("a container's parts are disjoint and come to its usage", async () => {
    await show(containerPath("docker:cache"), { from: "-1m" });
    const part = (id) => by(page, `part-${id}`).first();
    await part("anon").waitFor();
    const bytes = async (id) => Number(await part(id).getAttribute("data-bytes"));
    const ids = await page.locator('[data-testid^="part-"][data-bytes]').evaluateAll(
        (parts) => parts.map((one) => one.dataset.testid.slice(5)));
    assert.ok(ids.length >= 5, `parts: ${ids}`);
    let looks;
    await until(async () => { // two looks at what moves
        let sum = 0;
        for (const id of ids) {
            sum += await bytes(id);
        }
        const { targets } = await scene.api("api/v1/targets?target=docker:cache");
        looks = `${sum} beside ${targets[0].usage}`;
        return Math.abs(sum - targets[0].usage) < 4 * 2 ** 20;
    }, "the parts' sum", 3).catch(() => assert.fail(looks));
});

// --- what was ----------------------------------------------------------------------------------

look("ten minutes ago is shown from the store: who was there, what they used", async () => {
    const at = scene.past.to_ms - 1000;
    await show("/", { q: "runtime:docker", to: String(at) });
    await by(page, "shown-at").waitFor();
    await rowOf(page, "payments").waitFor({ state: "detached" }); // it was not there yet
    await rowOf(page, "web").waitFor();
    const { targets } = await scene.api(`api/v1/targets?at=${at}&target=docker:web`);
    assert.equal(await usedPct(page, "web"), targets[0].used_pct, "used then");
    assert.ok(targets[0].used > 24 * 2 ** 20, `what it held then: ${targets[0].used}`);
    await by(page, "filter").fill(OURS);
    await by(page, "to-live").click();
    await rowOf(page, "payments").waitFor();
});

look("a container that is gone, and its kill, are found at the time they were there", async () => {
    const from = scene.past.from_ms - 60_000;
    await show(containerPath("docker:import"), { from: String(from), to: String(scene.past.to_ms + 30_000) });
    await by(page, "container").waitFor();
    const mark = page.locator('[data-testid="mark"][data-kind="oom"]').first();
    await mark.waitFor();
    const at = Number(await mark.getAttribute("data-at"));
    assert.ok(Math.abs(at - scene.past.to_ms) < 60_000, `the mark is at ${at}, not about ${scene.past.to_ms}`);
    const chart = by(page, "chart-composition");
    await chart.locator("canvas").first().waitFor();
    await chart.getByTestId("show-table").click();
    const text = await chart.locator("table").innerText();
    assert.match(text, /[1-9][0-9.,]*/, "numbers in the chart's table");
});

// --- finding, ordering, moving -----------------------------------------------------------------

look("the filter takes names, labels, states and their opposites, and says what it does not know", async () => {
    await overview();
    const filter = by(page, "filter");
    const cases = [
        [`paym ${OURS}`, ["payments"]],
        ["label:tier=front", ["web", "payments"]],
        [`${OURS} -label:tier -report -cache`, ["search"]],
        [`compose:shop -name:web ${OURS}`, ["payments"]],
        [`state:cache-bound ${OURS}`, ["cache"]],
    ];
    for (const [words, wanted] of cases) {
        await filter.fill(words);
        await untilNames(page, wanted, words);
    }
    await filter.fill("colour:red");
    await by(page, "filter-error").waitFor();
    assert.match(await by(page, "filter-error").innerText(), /colour/);
    await filter.fill("no-container-has-this-name");
    await by(page, "clear-filter").click();
    await by(page, "row").first().waitFor();
    assert.equal(await filter.inputValue(), "");
});

look("heads sort the list, both ways", async () => {
    await show("/", { q: `${OURS} -report` });
    await rowOf(page, "search").waitFor();
    await by(page, "sort-name").click();
    await until(async () => {
        const seen = await names(page);
        return seen.length > 3 && String(seen) === String([...seen].sort());
    }, "names upwards");
    await by(page, "sort-name").click();
    await until(async () => {
        const seen = await names(page);
        return String(seen) === String([...seen].sort().reverse());
    }, "names downwards");
    await by(page, "sort-pct").click();
    await until(async () => {
        const shares = await by(page, "bar").evaluateAll(
            (bars) => bars.map((bar) => Number(bar.dataset.usedPct)));
        return String(shares) === String([...shares].sort((a, b) => b - a));
    }, "shares of the limit downwards");
});

look("groups by compose project", async () => {
    await show("/", { q: OURS });
    await by(page, "group-by").selectOption("compose");
    const shop = page.locator('[data-testid="group"][data-name="shop"]');
    await shop.waitFor();
    assert.match(await shop.innerText(), /\(2\)/);
    await shop.getByRole("button").click();
    await rowOf(page, "web").waitFor({ state: "detached" });
    await by(page, "group-by").selectOption("");
});

look("all of it by the keyboard", async () => {
    await overview();
    const selected = page.locator('[data-testid="row"][aria-current="true"]');
    await page.keyboard.press("/");
    await page.keyboard.type(`${OURS} -report`);
    await page.keyboard.press("Escape");
    await page.keyboard.press("j");
    const first = await selected.getAttribute("data-name");
    await page.keyboard.press("j");
    await until(async () => (await selected.getAttribute("data-name")) !== first, "j goes down", 3);
    await page.keyboard.press("k");
    await until(async () => (await selected.getAttribute("data-name")) === first, "k goes up", 3);
    await page.keyboard.press("Enter");
    await by(page, "container").waitFor();
    assert.match(page.url(), /#\/c\/docker/);
    await page.keyboard.press("Escape");
    await by(page, "row").first().waitFor();
    await page.keyboard.press("?");
    await by(page, "help-dialog").getByRole("heading").first().waitFor();
    assert.match(await by(page, "help-dialog").innerText(), /memory\.usage_in_bytes|memory\.current/);
    await page.keyboard.press("Escape");
    await by(page, "help-dialog").waitFor({ state: "hidden" });
});

look("time by the keyboard: pause, back, wider, narrower, now", async () => {
    await show(containerPath("docker:web"), { from: "-10m" });
    const range = by(page, "range");
    await range.waitFor();
    const length = async () => Number(await range.getAttribute("data-to"))
        - Number(await range.getAttribute("data-from"));
    const usual = await length();
    await page.keyboard.press("-");
    await until(async () => (await length()) > 1.5 * usual, "- shows more");
    await page.keyboard.press("+");
    await page.keyboard.press("+");
    await until(async () => (await length()) < 0.7 * usual, "+ shows less");
    await page.keyboard.press("[");
    await by(page, "shown-at").waitFor();
    await page.keyboard.press("0");
    await by(page, "shown-at").waitFor({ state: "detached" });
    await page.keyboard.press(" ");
    await by(page, "shown-at").waitFor();
    const held = await range.getAttribute("data-to");
    await pause(1500);
    assert.equal(await range.getAttribute("data-to"), held, "paused");
    await page.keyboard.press(" ");
    await by(page, "shown-at").waitFor({ state: "detached" });
});

look("every number tells what it is and where the kernel says it", async () => {
    await overview();
    await cell(page, "web", "used").hover();
    await by(page, "tip").waitFor();
    const text = await by(page, "tip").innerText();
    assert.match(text, /plimsoll_memory_used_bytes/);
    assert.match(text, /\d,\d{3},\d{3} bytes/, "the exact number");
});

look("a container's processes are listed with what they hold, and summed up", async () => {
    await show(containerPath("docker:web"), { from: "-1m" });
    await by(page, "process").first().waitFor({ timeout: 60_000 * PATIENCE });
    assert.match(await by(page, "process").first().innerText(), /demo/);
    const answer = await scene.api("api/v1/processes?target=docker:web");
    assert.equal(await by(page, "process").count(), answer.processes.length);
    assert.match(await by(page, "process-sum").innerText(), /\d/);
});

look("a chart's numbers can be taken along: CSV, JSON, PNG, and the request itself", async () => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await show(containerPath("docker:web"), { from: "-1m" });
    const chart = by(page, "chart-composition");
    await chart.locator("canvas").first().waitFor();
    const saved = async (kind) => {
        const [download] = await Promise.all([page.waitForEvent("download"),
            chart.getByTestId(`export-${kind}`).click()]);
        assert.match(download.suggestedFilename(), new RegExp(`^[\\w.-]*web[\\w.-]*\\.${kind}$`));
        return readFileSync(await download.path());
    };
    const lines = (await saved("csv")).toString().trim().split(/\r?\n/);
    assert.ok(lines.length > 5, `lines of CSV: ${lines.length}`);
    assert.equal(new Set(lines.map((line) => line.split(",").length)).size, 1, "columns");
    assert.ok(JSON.parse((await saved("json")).toString()), "JSON");
    assert.equal((await saved("png")).subarray(1, 4).toString(), "PNG");
    await chart.getByTestId("copy-curl").click();
    const command = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(command, /^curl /);
    const answer = JSON.parse(execFileSync("/bin/sh", ["-c", command], { stdio: ["ignore", "pipe", "ignore"] }));
    assert.ok(answer.series.length > 3 && answer.series[0].points.length > 5, "what the command gets");
});

look("dragging over a chart shows that part of it", async () => {
    await show(containerPath("docker:web"), { from: "-2m" });
    const plot = by(page, "chart-composition").locator(".u-over");
    await plot.waitFor();
    const length = async () => Number(await by(page, "range").getAttribute("data-to"))
        - Number(await by(page, "range").getAttribute("data-from"));
    const before = await length();
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width * 0.5, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.75, box.y + box.height / 2, { steps: 5 });
    await page.mouse.up();
    await until(async () => Math.abs((await length()) / before - 0.25) < 0.05, "a quarter is shown");
    await by(page, "shown-at").waitFor();
});

// --- looks, language, address ------------------------------------------------------------------

look("dark and light look different, and the choice is in the address", async () => {
    await overview();
    const colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await by(page, "theme").selectOption("dark");
    const dark = await colour();
    assert.match(page.url(), /theme=dark/);
    await by(page, "theme").selectOption("light");
    const light = await colour();
    assert.notEqual(dark, light);
    await by(page, "theme").selectOption("auto");
    await page.emulateMedia({ colorScheme: "dark" });
    assert.equal(await colour(), dark, "auto follows the system");
    await page.emulateMedia({ colorScheme: "light" });
    assert.equal(await colour(), light);
});

look("Chinese: the page's own words, all of them on the overview", async () => {
    await overview();
    await by(page, "language").selectOption({ label: "中文" });
    await page.getByRole("link", { name: "总览" }).waitFor();
    assert.match(await page.evaluate(() => document.documentElement.lang), /^zh/);
    const words = await page.locator('[role="columnheader"]').allInnerTexts();
    assert.ok(words.length > 8, "the heads are there");
    const english = words.filter((text) => !/\p{Script=Han}/u.test(text) && !/^(PSI %?|OOM)/.test(text.trim()));
    assert.deepEqual(english, [], "heads without a Chinese word");
    await by(page, "language").selectOption({ label: "English" });
});

look("the address restores the view: on reload, and in a browser that knows nothing else", async () => {
    await show("/", { q: `${OURS} -report`, sort: "name", asc: "1", theme: "dark", lang: "zh" });
    const wanted = ["cache", "payments", "search", "web"];
    const state = async (one) => ({ names: await names(one), q: await by(one, "filter").inputValue(),
        theme: await by(one, "theme").inputValue(), dark: await one.evaluate(
            () => getComputedStyle(document.body).backgroundColor),
        lang: await one.evaluate(() => document.documentElement.lang) });
    await untilNames(page, wanted, "the filter of the address");
    const before = await state(page);
    assert.deepEqual(before.names, wanted, "the order of the address");
    await page.reload();
    await untilNames(page, wanted, "after a reload");
    assert.deepEqual(await state(page), before, "after a reload");
    const other = await chrome.open(page.url());
    await untilNames(other, wanted, "in another browser");
    assert.deepEqual(await state(other), before, "in another browser");
    await other.context().close();
    const at = String(scene.past.to_ms - 1000);
    const past = await chrome.open(address(scene.url, containerPath("docker:import"), { from: "-5m", to: at }));
    await by(past, "container").waitFor();
    assert.equal(await by(past, "range").getAttribute("data-to"), at, "a moment of the past");
    await past.context().close();
});

// --- hostile names -----------------------------------------------------------------------------

/** What the page itself is: a name that became markup would change this. */
function skeleton(one) {
    return one.evaluate(() => ({ scripts: document.scripts.length, images: document.images.length,
        title: document.title === "run", styles: document.querySelectorAll("[onerror]").length }));
}

look("hostile names are text: tags, marks that turn text around, 200 characters", async () => {
    await overview();
    const before = await skeleton(page);
    const { paths, container, label } = await scene.do("hostile");
    const rest = paths[0].slice(0, paths[0].indexOf("<script>"));
    await show("/", { q: `kind:any path:${rest}*` });
    for (const path of paths) {
        const row = rowOf(page, path);
        await row.waitFor();
        const shown = await row.getByTestId("name").innerText();
        const last = path.slice(rest.length).replace("\u202e", "\\u{202e}").replace("\u2066", "\\u{2066}");
        assert.ok(shown.replaceAll(/\s/g, "").includes(last.replaceAll(/\s/g, "")), `${shown} is not ${last}`);
        assert.ok(!/[\u202a-\u202e\u2066-\u2069]/.test(shown), "no mark that turns text around");
    }
    await page.evaluate(() => scrollTo(0, 0));
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `a long name makes the page ${wide} px wider than the window`);
    await rowOf(page, paths[0]).getByTestId("name").getByRole("link").click();
    await by(page, "container").waitFor();
    await page.getByText("script>").first().waitFor();
    await show("/", { q: `name:${container}`, group: "compose" });
    await page.locator('[data-testid="group"]').filter({ hasText: label }).waitFor();
    await show("/timeline");
    await page.locator('[data-testid="event"]').filter({ hasText: container }).first().waitFor();
    assert.deepEqual(await skeleton(page), before, "elements that names could have made");
    await show("/");
    await scene.do("end_hostile");
});

// --- the connection ----------------------------------------------------------------------------

look("a lost connection is told at once, what was known stays, and it comes back by itself", async (t) => {
    await overview();
    chrome.mayBeLost = true;
    await scene.do("stop_agent");
    await until(async () => !(await isLive(page)), "the page sees that the agent is gone");
    await until(async () => /reconnecting/.test(await linkText(page)), "it says that it is reconnecting");
    assert.equal(await rowOf(page, "web").count(), 1, "what was known is still shown");
    await scene.do("start_agent");
    const begun = performance.now();
    await until(() => isLive(page), "live again");
    t.diagnostic(`live ${Math.round(performance.now() - begun)} ms after the agent was`);
    const before = await usedPct(page, "search");
    await until(async () => (await usedPct(page, "search")) !== before, "numbers move again");
});

look("a front that dies is started anew, and the page goes on", async () => {
    await scene.do("kill_front");
    await until(async () => !(await isLive(page)), "the page sees that the front is gone");
    await until(() => isLive(page), "live again");
    await rowOf(page, "web").waitFor();
    await pause(1000); // what the browser says of it may come a moment later
    chrome.mayBeLost = false;
});

look("eight tabs of a browser share one stream, and another reads when the one that did is closed", async (t) => {
    const before = (await scene.api("healthz")).front.streams;
    const view = address(scene.url, "/", { q: OURS });
    const first = await chrome.open(view);
    const context = first.context();
    const others = [];
    for (let i = 1; i < 8; i++) { // a browser has six connections to an origin
        const tab = await context.newPage();
        chrome.watch(tab, new URL(scene.url).origin);
        await tab.goto(view);
        others.push(tab);
    }
    for (const tab of [first, ...others]) {
        await until(() => isLive(tab), "each tab is live");
        await rowOf(tab, "search").waitFor();
    }
    await until(async () => (await scene.api("healthz")).front.streams === before + 1,
        "one stream for all", 5);
    const begun = performance.now();
    await first.close();
    const seen = await Promise.all(others.map((tab) => usedPct(tab, "search")));
    for (const [i, tab] of others.entries()) {
        await until(async () => (await usedPct(tab, "search")) !== seen[i], "numbers move on");
        assert.ok(await isLive(tab), await linkText(tab));
    }
    t.diagnostic(`all moved on ${Math.round(performance.now() - begun)} ms later`);
    await context.close();
});

// --- for everybody -----------------------------------------------------------------------------

const VIEWS = [
    ["overview", "/", { q: OURS, from: "-2m" }, "row"],
    ["container", containerPath("docker:report"), { from: "-2m" }, "chart-composition"],
    ["timeline", "/timeline", {}, "event"],
];

look("axe-core finds nothing serious in any view, in dark and light", async () => {
    for (const theme of ["light", "dark"]) {
        for (const [name, path, words, id] of VIEWS) {
            await show(path, { ...words, theme });
            await by(page, id).first().waitFor();
            assert.deepEqual(await findings(page), [], `${name}, ${theme}`);
        }
        await page.keyboard.press("?");
        await by(page, "help-dialog").getByRole("heading").first().waitFor();
        assert.deepEqual(await findings(page), [], `help, ${theme}`);
        await page.keyboard.press("Escape");
    }
});

async function shoot(one, name, suffix) {
    await pause(SHOTS ? 1500 : 100); // what is asked for every few seconds is there too
    const wide = await one.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    if (SHOTS) {
        mkdirSync(SHOTS, { recursive: true });
        await one.screenshot({ path: join(SHOTS, `${name}${suffix}.png`) });
    }
    assert.ok(wide <= 0, `${name}${suffix}: ${wide} px wider than the window`);
}

look("overview and container fit a laptop and a phone, in dark and light", async () => {
    const one = await chrome.open(scene.url);
    if (SHOTS) { // pictures of two minutes, with more to see
        for (const container of PICTURED) {
            await scene.do("run", container);
        }
        await pause(75_000);
    }
    for (const theme of ["light", "dark"]) {
        for (const [name, path, words, id] of VIEWS.slice(0, 2)) {
            await one.goto(address(scene.url, path, { ...words, theme }));
            await by(one, id).first().waitFor();
            for (const [size, suffix] of [[LAPTOP, ""], [PHONE, "-phone"]]) {
                await one.setViewportSize(size);
                await shoot(one, `${name}-${theme}`, suffix);
            }
        }
    }
    await one.context().close();
});

look("in all of that: no error on the console, no request to another host", async () => {
    // The page was shown until half a minute after this one had ended: then it is rightly not found.
    const ended = /status of 404.*target=docker%3Aimport&at=/;
    assert.deepEqual(chrome.complaints.filter((text) => !ended.test(text)), []);
});
