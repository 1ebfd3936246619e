import assert from "node:assert/strict";
import { test } from "node:test";
import type { Row, StateWord } from "../src/api/types.ts";
import { setLanguage } from "../src/i18n/index.ts";
import { adviceOf, quoted, targetWord, whoseLimit } from "../src/views/container/sentence.ts";

const M = 2 ** 20;
const ROW = {
    name: "web",
    id: "0123456789abcdef",
    cgroup: "/docker/0123",
    state: "at-limit",
    used: 119 * M,
    usage: 128 * M,
    used_pct: 93,
    limit: 128 * M,
    own_limit: 128 * M,
    limit_from: "/docker/0123",
    high: null,
    swap: 0,
    trend: "growing",
    trend_bytes_per_h: 41 * M,
    trend_window_s: 240,
    time_to_limit_s: 720,
    psi_some_avg10: 1,
    psi_full_avg10: null,
    refaults_per_s: 5,
} as Row;

test("a state is said with the target's own numbers and a command to go on with", () => {
    setLanguage("en");
    const { text, command } = adviceOf(ROW, null, null);
    assert.match(text, /93\.0 % of its own limit of 128M/);
    assert.match(text, /\+41\.0M\/h .*12m/);
    assert.equal(command, "plimsoll ps web --pss");
    assert.equal(
        adviceOf(ROW, null, 1_795_000_000_000).command,
        "plimsoll ps web --at 2026-11-18T11:06:40.000Z",
    );
    assert.equal(
        adviceOf({ ...ROW, state: "growing" }, null, null).next,
        null,
        "no process is known whose mappings to look at",
    );
});

test("every state has words in both languages, and none is left to fill in", () => {
    const words: StateWord[] = ["-", "ok", "steady", "shrinking", "growing", "cache-bound", "high"];
    words.push("swapping", "stalled", "thrashing", "throttled", "at-limit", "hung");
    for (const lang of ["en", "zh"])
        for (const state of words) {
            setLanguage(lang);
            const { text, next } = adviceOf({ ...ROW, state }, 7, null);
            assert.ok(text.length > 8, `${lang} ${state}`);
            assert.doesNotMatch(`${text}${next}`, /[{}]|undefined/);
        }
    setLanguage("en");
});

test("whose limit it is", () => {
    assert.equal(whoseLimit(ROW), "its own limit");
    assert.match(whoseLimit({ ...ROW, own_limit: null, limit_from: "host" }), /machine/);
    assert.match(whoseLimit({ ...ROW, own_limit: 256 * M, limit_from: "/docker" }), /\/docker/);
});

test("commands are safe to paste, whatever a target is called", () => {
    assert.equal(targetWord({ name: "web", id: null, cgroup: "/x" }), "web");
    assert.equal(
        targetWord({ name: "$(id)", id: "abcdef0123456789", cgroup: "/x" }),
        "abcdef012345",
    );
    assert.equal(targetWord({ name: "-rf", id: null, cgroup: "/a b'c" }), "'/a b'\\''c'");
    assert.equal(quoted("-x"), "'-x'");
});
