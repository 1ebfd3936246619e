/** What tests look for on the page, by its test ids, and how they wait for it. */
import { strict as assert } from "node:assert";

export const PATIENCE = process.env.PLIMSOLL_TEST_SMALL === "1" ? 4 : 1;

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Polls until the claim's value is true, three times as long as it takes on a machine that has nothing
 * else to do; gives it. */
export async function until(claim, what, seconds = 20) {
    const end = performance.now() + 3 * seconds * 1000 * PATIENCE;
    for (;;) {
        const value = await claim();
        if (value) {
            return value;
        }
        assert.ok(performance.now() < end, `waited ${3 * seconds} s in vain: ${what}`);
        await pause(50);
    }
}

export const by = (page, id) => page.getByTestId(id);

/** The row of the target with this name. */
export function rowOf(page, name) {
    return page.locator(`[data-testid="row"][data-name=${JSON.stringify(name)}]`);
}

export const cell = (page, name, id) => rowOf(page, name).getByTestId(id);

/** The names of the list, as it is ordered. */
export function names(page) {
    return by(page, "row").evaluateAll((rows) => rows.map((row) => row.dataset.name));
}

/** Waits for a list of these names, in any order. */
export async function untilNames(page, wanted, what) {
    const sorted = JSON.stringify([...wanted].sort());
    let seen = [];
    try {
        await until(async () => {
            seen = await names(page);
            return JSON.stringify([...seen].sort()) === sorted;
        }, what, 8);
    } catch {
        assert.deepEqual([...seen].sort(), [...wanted].sort(), what);
    }
}

/** How many pixels of the row's bar are used. */
export async function barWidth(page, name) {
    const box = await cell(page, name, "bar").locator(".bar-used").boundingBox();
    return box?.width ?? 0;
}

export async function usedPct(page, name) {
    return Number(await cell(page, name, "bar").getAttribute("data-used-pct"));
}

export async function count(page, name, id) {
    const text = await cell(page, name, id).innerText().catch(() => "0");
    return Number(text.replace(/[^0-9]/g, "") || "0");
}

export const isLive = (page) => by(page, "link").locator(".dot").count()
    .then(async () => /\blink-live\b/.test((await by(page, "link").getAttribute("class")) ?? ""));

export const linkText = (page) => by(page, "link").getByRole("status").innerText();

/** The page's address of a view: "#/c/KEY?from=-10m". */
export function address(url, path = "/", words = {}) {
    const query = new URLSearchParams(words).toString();
    return `${url}#${path}${query ? `?${query}` : ""}`;
}

export const containerPath = (key) => `/c/${encodeURIComponent(key)}`;
