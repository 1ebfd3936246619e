/**
 * The page that `plimsoll heap --flame` writes, in a real browser, from a file.
 *
 *   PLIMSOLL_BINARY=build/plimsoll node --test-reporter=tap tests/browser/flame.mjs
 */
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";

import { Chrome, CHROMIUM, PHONE, findings } from "./chrome.mjs";

const BINARY = process.env.PLIMSOLL_BINARY ?? "build/plimsoll";
const FIXTURES = new URL("../fixtures/profile/", import.meta.url).pathname;
const SHOTS = process.env.PLIMSOLL_SHOTS;

function skipAll(reason) {
    console.log(`1..0 # SKIP ${reason}`);
    process.exit(0);
}

if (!existsSync(CHROMIUM)) skipAll(`no browser at ${CHROMIUM} (apt-get install chromium)`);
if (!existsSync(join(dirname(BINARY), "plimsoll-inspect"))) skipAll("this build has no plimsoll-inspect");

const chrome = await Chrome.launch();
const folder = mkdtempSync(join(tmpdir(), "plimsoll-flame-"));
after(async () => {
    await chrome.close();
    rmSync(folder, { recursive: true, force: true });
});

/** Opens the flame graph of one file, or of what grew between two. */
async function open(name, files, options = {}) {
    const page = join(folder, `${name}.html`);
    execFileSync(BINARY, ["heap", "--flame", page, ...files], { stdio: ["ignore", "ignore", "inherit"] });
    return chrome.open(`file://${page}`, options);
}

const one = [join(FIXTURES, "go-heap.pb.gz")];
const two = [...one, join(FIXTURES, "go-heap-grown.pb.gz")];
const frames = (page, name) => page.locator(".frame", { hasText: name });
const widthOf = async (frame) => (await frame.boundingBox()).width;

async function shoot(page, name) {
    if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}

test("frames are as wide as what they hold, and a click makes one as wide as the page", async () => {
    const page = await open("one", one);
    const all = await widthOf(frames(page, /^all$/));
    const leaf = await widthOf(frames(page, /^main\.leaf$/).first());
    assert.ok(Math.abs(leaf / all - 0.679) < 0.02, `main.leaf is ${leaf} of ${all}`);
    await frames(page, /^main\.leaf$/).first().click();
    assert.ok(Math.abs((await widthOf(frames(page, /^main\.leaf$/).first())) - all) < 2, "not zoomed");
    assert.match(await page.locator("#detail").textContent(), /^main\.leaf: 11\.7 MiB, 67\.\d %$/);
    await page.getByRole("button", { name: "Whole graph" }).click();
    assert.ok((await widthOf(frames(page, /^main\.leaf$/).first())) < all * 0.7, "not back");
    assert.deepEqual(await findings(page), []);
    await shoot(page, "flame");
});

test("it is used by keyboard alone: arrows, Enter, Escape, slash", async () => {
    const page = await open("keys", one);
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    await frames(page, /^all$/).focus();
    await page.keyboard.press("ArrowDown");
    assert.match(await focused(), /^runtime\.main:/);
    await page.keyboard.press("ArrowRight");
    assert.match(await focused(), /^main\.nodes:/);
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Enter");
    assert.match(await focused(), /^runtime\.main:/);
    assert.equal(await frames(page, /^main\.nodes$/).count(), 0, "what is beside it is out of sight");
    await page.keyboard.press("Escape");
    assert.ok((await frames(page, /^main\.nodes$/).count()) > 5, "Escape does not zoom out");
    await page.keyboard.press("/");
    await page.keyboard.type("main.leaf");
    assert.match(await page.locator("#found").textContent(), /^\d+ frames, 67\.\d %$/);
    assert.ok((await page.locator(".found").count()) >= 1, "nothing is marked");
    await page.keyboard.press("Escape");
    assert.equal(await page.locator(".found, .missed").count(), 0);
});

test("what grew and what shrank differ by colour, by pattern and by sign", async () => {
    for (const colorScheme of ["light", "dark"]) {
        const page = await open(`diff-${colorScheme}`, two, { colorScheme });
        const grew = frames(page, "main.leaf").first(), shrank = frames(page, "main.nodes").first();
        assert.match(await grew.textContent(), /^\+2\.5 MiB /);
        assert.match(await shrank.textContent(), /^\u22122\.\d MiB /);
        const look = (frame) => frame.evaluate((e) => [getComputedStyle(e).backgroundColor,
            getComputedStyle(e).backgroundImage]);
        const [red, plain] = await look(grew), [blue, hatched] = await look(shrank);
        assert.notEqual(red, blue);
        assert.equal(plain, "none");
        assert.match(hatched, /gradient/);
        assert.deepEqual(await findings(page), []);
        await shoot(page, `flame-diff-${colorScheme}`);
    }
});

test("a name is text, whatever it says", async () => {
    const name = "</script><script>document.title='run'</script><img src=x onerror=document.title='run'>\u202e";
    const file = join(folder, "odd.heapprofile");
    writeFileSync(file, JSON.stringify({ head: { callFrame: { functionName: name, url: "" },
        selfSize: 5, children: [{ callFrame: { functionName: "__proto__" }, selfSize: 7, children: [] }] } }));
    const page = await open("odd", [file]);
    assert.equal(await page.title(), "odd.heapprofile");
    assert.equal(await page.locator("img").count(), 0);
    const shown = await frames(page, "onerror").textContent();
    assert.ok(shown.startsWith("</script><script>") && !shown.includes("\u202e"), shown);
    await page.getByRole("button", { name: "__proto__" }).click();
    assert.match(await page.locator("#found").textContent(), /^1 frames, 58\.3 %$/);
});

test("it fits a phone and has no findings", async () => {
    const page = await open("phone", one, { viewport: PHONE, colorScheme: "dark" });
    assert.deepEqual(await findings(page), []);
    const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(inner <= outer, `${inner} wide on ${outer}`);
    await shoot(page, "flame-phone");
});

test("no page complained or asked for anything", () => {
    assert.deepEqual(chrome.complaints, []);
});
