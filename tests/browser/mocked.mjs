/**
 * The page in a real browser over made-up targets (mock.mjs): what needs many tabs, time or an agent
 * that misbehaves.
 *
 *   [PLIMSOLL_DIST=web/dist] node --test-reporter=tap tests/browser/mocked.mjs
 */
import { strict as assert } from "node:assert";
import { existsSync } from "node:fs";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Chrome, CHROMIUM } from "./chrome.mjs";
import { PATIENCE, address, by, containerPath, isLive, linkText, pause, until } from "./looking.mjs";
import { startMock } from "./mock.mjs";

const DIST = process.env.PLIMSOLL_DIST ?? fileURLToPath(new URL("../../web/dist", import.meta.url));
const MIB = 2 ** 20;
const TABS = 8; // a browser has six connections to an origin

function skipAll(reason) {
    console.log(`1..0 # SKIP ${reason}`);
    process.exit(0);
}

if (!existsSync(CHROMIUM)) {
    skipAll(`no browser at ${CHROMIUM} (apt-get install chromium)`);
}
if (!existsSync(DIST)) {
    skipAll(`no page in ${DIST} (npm run build)`);
}
const mock = await startMock({ targets: 6, hostile: false, dist: DIST });
const chrome = await Chrome.launch();
after(async () => {
    await chrome.close();
    mock.close();
});

/** After garbage is collected. */
async function heapBytes(page) {
    const session = await page.context().newCDPSession(page);
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    await session.detach();
    return usedSize;
}

/** The moment of the newest look that a tab shows. */
const shownAt = (page) => by(page, "range").getAttribute("data-to").then(Number);

test("a container that is watched for long needs no more memory than one just opened", { timeout: 90_000 * PATIENCE },
    async (t) => {
        const page = await chrome.open(address(mock.url, containerPath(mock.keys[0]), { from: "-1m" }));
        await by(page, "chart-composition").locator("canvas").first().waitFor();
        await pause(5000);
        const begun = await heapBytes(page);
        await pause(20_000);
        const grown = await heapBytes(page) - begun;
        t.diagnostic(`${(begun / MIB).toFixed(1)} MiB, then ${(grown / MIB).toFixed(2)} MiB more after 20 s`);
        assert.ok(grown < 1.5 * MIB, `${(grown / MIB).toFixed(2)} MiB in 20 s`);
        await page.context().close();
    });

test("eight tabs share one stream, and the next goes on when the one that reads is closed",
    { timeout: 120_000 * PATIENCE }, async (t) => {
        const view = address(mock.url, containerPath(mock.keys[0]), { from: "-1m" });
        const first = await chrome.open(view);
        const context = first.context();
        const tabs = [first];
        for (let i = 1; i < TABS; i++) {
            const tab = await context.newPage();
            chrome.watch(tab, new URL(mock.url).origin);
            await tab.goto(view);
            tabs.push(tab);
        }
        for (const tab of tabs) {
            await until(() => isLive(tab), "each tab is live");
            await by(tab, "chart-composition").locator("canvas").first().waitFor();
        }
        assert.equal(mock.openStreams(), 1, "one stream for all");
        const [, ...others] = tabs;
        const before = await Promise.all(others.map(shownAt));
        const begun = performance.now();
        await first.close();
        await until(() => mock.openStreams() === 1, "another tab reads");
        t.diagnostic(`another tab reads after ${Math.round(performance.now() - begun)} ms`);
        for (const [i, tab] of others.entries()) {
            await until(async () => (await shownAt(tab)) > before[i] + 2500, "its numbers go on");
            assert.ok(await isLive(tab), await linkText(tab));
        }
        await context.close();
    });

test("a stream that stands but tells nothing is called that, not live", { timeout: 60_000 * PATIENCE }, async () => {
    const page = await chrome.open(mock.url);
    await until(() => isLive(page), "it is live");
    mock.hush(true);
    await until(async () => /no news for/.test(await linkText(page)), "it says that nothing comes");
    mock.hush(false);
    await until(() => isLive(page), "it is live again");
    await page.context().close();
});

test("a token that no header can carry is refused with words, and one that was kept is none",
    { timeout: 60_000 * PATIENCE }, async () => {
        mock.token = "good-token";
        const page = await chrome.open(mock.url);
        await by(page, "token-form").waitFor();
        await page.locator("input[type=password]").fill("schlüssel ✓");
        await page.keyboard.press("Enter");
        await by(page, "token-error").waitFor();
        await page.evaluate(() => sessionStorage.setItem("plimsoll-token", "schlüssel ✓"));
        await page.reload();
        await by(page, "token-form").waitFor();
        await page.locator("input[type=password]").fill("good-token");
        await page.keyboard.press("Enter");
        await by(page, "row").first().waitFor();
        mock.token = null;
        await page.context().close();
    });

test("another agent behind the same address is told, with a reload that brings its page", { timeout: 60_000 * PATIENCE },
    async () => {
        const page = await chrome.open(mock.url);
        await until(() => isLive(page), "it is live");
        await page.route("**/api/v1/about", async (route) => {
            const answer = await route.fetch();
            await route.fulfill({ json: { ...await answer.json(), version: "99.1" } });
        });
        chrome.mayBeLost = true;
        mock.cut();
        await until(async () => !(await isLive(page)), "the connection is lost");
        mock.heal();
        await by(page, "replaced").waitFor();
        chrome.mayBeLost = false;
        assert.match(await by(page, "replaced").innerText(), /99\.1/);
        await by(page, "replaced").getByRole("button").click();
        await by(page, "row").first().waitFor();
        await by(page, "replaced").waitFor({ state: "detached" });
        await page.context().close();
    });

test("the end of an address that counts back from now stays the moment that it was on arrival",
    { timeout: 60_000 * PATIENCE }, async () => {
        const page = await chrome.open(address(mock.url, containerPath(mock.keys[0]), { from: "-1m", to: "-30s" }));
        await until(() => /[?&]to=\d{13}/.test(page.url()), "the address names the moment");
        const at = await shownAt(page);
        assert.ok(Math.abs(Date.now() - 30_000 - at) < 20_000 * PATIENCE, `${at}`);
        await pause(2500);
        assert.equal(await shownAt(page), at);
        await page.context().close();
    });

test("what a guard saw and did is told in words, and what hangs has a next step", { timeout: 60_000 * PATIENCE },
    async () => {
        const guarded = await startMock({ targets: 10, hostile: false, dist: DIST });
        const page = await chrome.open(address(guarded.url, "/timeline", { from: "-1h" }));
        const told = (kind) => page.locator(`[data-testid="event"][data-kind="${kind}"]`).first();
        await told("gc").waitFor();
        assert.match(await told("gc").innerText(), /garbage collection: done, 250M → 180M, in 2s, Java: 2 collections/);
        assert.match(await told("guard").innerText(), /refused.*main is protected.*plimsoll ps web|dry run/);
        assert.match(await told("hang").innerText(), /hangs at its limit: its tasks wait for memory/);
        await by(page, "kind-hang").uncheck();
        await until(async () => await told("hang").count() === 0, "hangs are hidden");
        await page.goto(address(guarded.url, containerPath(guarded.keys[9]), { from: "-10m" }));
        await page.getByText("plimsoll rescue").first().waitFor();
        assert.match(await by(page, "advice").first().innerText(), /been hanging at .* for .*: its tasks wait/);
        assert.match(await by(page, "guard").innerText(), /marks passed now: 3/);
        await page.context().close();
        guarded.close();
    });

test("in all of that: no error on the console, no request to another host", () => {
    assert.deepEqual(chrome.complaints.filter((text) => !/status of 401/.test(text)), []);
});
