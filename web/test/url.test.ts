import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_VIEW, hashOf, parseHash, parseTime, rangeOf, spanText, usualMs, usualWindow, windowKey } from "../src/state/url.ts";

test("every view comes back from its address", () => {
    const views = [
        { ...DEFAULT_VIEW },
        { ...DEFAULT_VIEW, name: "container" as const, key: "docker:a/b?c&d#e <script>\u202e", from: "-2h" },
        { ...DEFAULT_VIEW, name: "timeline" as const, to: "1789000000000", q: "state:hung -name:x y", hidden: "start,end" },
        { ...DEFAULT_VIEW, name: "container" as const, key: "a", cursor: "1789000000123", procs: "pid-asc" },
        { ...DEFAULT_VIEW, sort: "used", desc: false, group: "pod", theme: "dark" as const, lang: "zh" },
    ];
    for (const view of views) assert.deepEqual(parseHash(hashOf(view)), view);
});

test("an address that somebody bent shows the overview, not an error", () => {
    assert.deepEqual(parseHash("#/nothing?x=1"), DEFAULT_VIEW);
    assert.equal(parseHash("#/c/%E0%A4%A").key, "%E0%A4%A");
    assert.equal(parseHash("").name, "overview");
});

test("times are relative, now, or ms", () => {
    assert.equal(parseTime("now", 5000), 5000);
    assert.equal(parseTime("-2s", 5000), 3000);
    assert.equal(parseTime("1789000000000", 0), 1789000000000);
    assert.equal(parseTime("yesterday", 0), null);
});

test("a window counts back from its end and is never too short", () => {
    const now = 1789000000000;
    assert.deepEqual(rangeOf({ from: "-1h", to: "now" }, now), { from_ms: now - 3600e3, to_ms: now, live: true });
    const past = rangeOf({ from: "-1h", to: String(now - 7200e3) }, now);
    assert.deepEqual(past, { from_ms: now - 10800e3, to_ms: now - 7200e3, live: false });
    assert.equal(rangeOf({ from: String(now), to: String(now) }, now).from_ms, now - 10e3);
});

test("spans are written short", () => {
    assert.equal(spanText(7200e3), "2h");
    assert.equal(spanText(5400e3), "90m");
    assert.equal(spanText(1500), "2s");
});

test("the usual window grows with what the agent has seen, up to two hours", () => {
    assert.equal(usualWindow(5e3), 60e3);
    assert.equal(usualWindow(61e3), 120e3);
    assert.equal(usualWindow(40 * 60e3), 3600e3);
    assert.equal(usualWindow(1e12), 7200e3);
    usualMs.value = 300e3;
    assert.equal(rangeOf({ from: "", to: "now" }, 1789000000000).from_ms, 1789000000000 - 300e3);
});

test("a grown usual window is another one, unless the address names its beginning", () => {
    usualMs.value = 60e3;
    const [usual, named] = [{ from: "", to: "now" }, { from: "-1h", to: "now" }];
    const before = [windowKey(usual), windowKey(named)];
    usualMs.value = 120e3;
    assert.notEqual(windowKey(usual), before[0]);
    assert.equal(windowKey(named), before[1]);
});
