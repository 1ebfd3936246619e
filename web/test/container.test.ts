import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "../src/api/types.ts";
import { csvOf, jsonOf } from "../src/charts/export.ts";
import { countOf } from "../src/charts/marks.ts";
import { emptyTable, type Column } from "../src/charts/table.ts";
import { setLanguage } from "../src/i18n/index.ts";
import { sheetOf } from "../src/views/container/composition.tsx";
import { merged } from "../src/views/container/history.ts";
import { isNear, lastSeen, marksOf } from "../src/views/container/moment.ts";
import { adviceOf, lastKill } from "../src/views/container/sentence.ts";
import { orderOf, orderText } from "../src/views/container/tree.ts";
import { rowOf } from "./rows.ts";

const M = 2 ** 20;
const NOW = 1_795_000_000_000;
const SPECS = ["usage", "peak", "limit", "anon", "slab_reclaimable"].map((name) => ({
    name,
    metric: name,
    pick: "mean" as const,
}));

function kill(at_ms: number, comm: string): Event {
    const victim = { pid: 7, comm, anon: 1, file: 0, shmem: 0 };
    return { kind: "oom", at_ms, series: 1, key: "docker:a", name: "a", victim };
}

function looking(limit: number | null, usage: number) {
    const table = emptyTable(SPECS, 1000);
    const values: Record<string, number | null> = { usage, peak: usage, limit, anon: usage };
    const columns: Record<string, Column> = {};
    for (const { name } of SPECS) columns[name] = [values[name] ?? null];
    return { ...table, at: [NOW], columns };
}

test("after a kill nobody is told that there is nothing to do", () => {
    setLanguage("en");
    const row = { limit: 64 * M, own_limit: 64 * M, limit_from: "/docker/1", used: 20 * M, used_pct: 31 };
    const last = lastKill([kill(NOW + 5000, "later"), kill(NOW - 60_000, "java"), kill(1, "old")], NOW);
    for (const state of ["oom-killed", "steady", "shrinking", "ok", "cache-bound", null] as const) {
        const advice = adviceOf(rowOf({ name: "a", state, oom_kills_total: 3, ...row }), null, null, last, NOW);
        assert.match(advice.text, /^The kernel killed java in it .* 1m ago.* 3 kills/, String(state));
        assert.doesNotMatch(advice.text, /Nothing to do/);
        assert.match(advice.next ?? "", /Raise the limit/);
        assert.equal(advice.lookAt, NOW - 60_000);
    }
    const graver = adviceOf(rowOf({ name: "a", state: "at-limit", ...row }), null, null, last, NOW);
    assert.match(graver.text, /next step is a kill/);
    assert.equal(graver.lookAt, NOW - 60_000);
});

test("the row tells of a kill that no event is known of, and an old one is no news", () => {
    const row = rowOf({ name: "a", state: "steady", oom_killed_ms: NOW - 5000 });
    assert.match(adviceOf(row, null, null, null, NOW).text, /killed a task in it .* 5s ago/);
    assert.match(adviceOf(row, null, null, null, NOW + 3600e3).text, /Nothing to do/);
    // A moment before the kill knows nothing of it.
    assert.match(adviceOf(row, null, NOW - 60_000, null, NOW).text, /Nothing to do/);
    assert.match(adviceOf(row, null, NOW, null, NOW).text, /before the moment that is shown/);
});

test("a mark counts its own kind", () => {
    const mark = (kind: string) => ({ kind, at: 1, text: "" });
    assert.equal(countOf({ kind: "oom", at: 1, marks: [mark("oom"), mark("start"), mark("oom")] }), 2);
});

test("many starts do not hide an older kill", () => {
    const starts = [9, 8].map((at) => ({ ...kill(at, ""), kind: "start" }));
    const all = merged([...starts, kill(7, "a")], [kill(7, "a"), kill(3, "b")]);
    assert.deepEqual(all.map(({ at_ms }) => at_ms), [9, 8, 7, 3]);
});

test("a limit is far only where usage is far below it", () => {
    const unknown = marksOf(looking(null, 60 * M), 60 * M);
    assert.ok(isNear(64 * M, unknown), "also where the chart has no line of it yet");
    assert.ok(!isNear(1024 * M, unknown));
    assert.ok(isNear(64 * M, marksOf(looking(64 * M, M), 30 * M)), "what is used now counts");
});

test("files tell what is not known as unknown, and the chart by its id", () => {
    const sheet = sheetOf(looking(64 * M, 60 * M), "a");
    const [head = "", line = ""] = csvOf(sheet).split("\r\n");
    const at = (name: string) => line.split(",")[head.split(",").indexOf(name)];
    assert.equal(at("slab_bytes"), "");
    assert.equal(at("anon_bytes"), String(60 * M));
    assert.equal(at("other_bytes"), "0");
    const json = JSON.parse(jsonOf(sheet)) as { chart: string; points: Record<string, unknown>[] };
    assert.equal(json.chart, "composition");
    assert.equal(json.points[0]?.slab_bytes, null);
});

test("the order of processes comes back from its text", () => {
    for (const key of ["pid", "command", "pss", "threads"] as const)
        for (const desc of [true, false])
            assert.deepEqual(orderOf(orderText({ key, desc })), { key, desc });
    assert.equal(orderText({ key: "res", desc: true }), "");
    assert.deepEqual(orderOf("nonsense-asc"), { key: "res", desc: true });
});

test("one that is gone is asked for just before its end, not at the begin of its last step", () => {
    const end = { kind: "end", at_ms: NOW + 40_000 } as Event;
    const later = { kind: "end", at_ms: NOW + 90_000 } as Event;
    assert.equal(lastSeen(NOW, [later, end]), NOW + 39_999);
    assert.equal(lastSeen(NOW, [{ ...end, kind: "start" }]), NOW);
    assert.equal(lastSeen(NOW + 50_000, [end]), NOW + 50_000);
    assert.equal(lastSeen(null, [end]), null);
});
