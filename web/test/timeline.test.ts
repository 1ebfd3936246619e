import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "../src/api/types.ts";
import { eventText } from "../src/components/event.tsx";
import { axisTicks, clusters, kindCounts, lanesOf } from "../src/views/timeline/lanes.ts";

function event(kind: string, at_ms: number, key = "docker:a", more: Partial<Event> = {}): Event {
    return { kind, at_ms, key, name: key.slice(7), series: 1, ...more };
}

test("the lane with the gravest events comes first, then the one with more of them", () => {
    const lanes = lanesOf([
        event("start", 1, "docker:quiet"),
        event("oom", 2, "docker:once"),
        event("oom", 3, "docker:twice"),
        event("oom", 4, "docker:twice"),
        event("deploy", 5, "docker:other"),
    ]);
    assert.deepEqual(lanes.map((lane) => lane.name), ["twice", "once", "other", "quiet"]);
});

test("marks that would overlap are one, the gravest kind first", () => {
    const events = [event("restart", 500), event("oom", 505), event("end", 506), event("oom", 900), event("oom", 2000)];
    const found = clusters(events, 0, 1000, 0.01);
    assert.deepEqual(found.map(([place, list]) => [place, list.map((one) => one.kind).join()]), [
        [0.5, "oom,restart,end"],
        [0.9, "oom"],
    ]);
});

test("kinds that nobody knows are counted by their name", () => {
    const counts = kindCounts([event("deploy", 1), event("oom", 1)]);
    assert.equal(counts[0]?.[0], "oom");
    assert.ok(counts.some(([kind, n]) => kind === "deploy" && n === 1));
    assert.ok(counts.some(([kind, n]) => kind === "restart" && n === 0));
});

test("an axis has round moments and not too many", () => {
    const from = Date.UTC(2026, 10, 21, 17, 3, 20);
    for (const length of [10e3, 90e3, 3600e3, 86400e3, 30 * 86400e3, 366 * 86400e3]) {
        const ticks = axisTicks(from, from + length, 6);
        assert.ok(ticks.length >= 1 && ticks.length <= 7, `${length}: ${ticks.length}`);
        assert.ok(ticks.every((at) => at >= from && at <= from + length));
    }
    assert.deepEqual(axisTicks(from, from + 3600e3, 6).map((at) => at % 600e3), [0, 0, 0, 0, 0, 0]);
});

test("a kill says who, how much and whose limit, and when it is not sure", () => {
    const victim = { pid: 7, comm: "tail", anon: 60 << 20, file: 0, shmem: 0 };
    assert.equal(eventText(event("oom", 1, "docker:a", { victim, kills: 1, sure: true, outside: false })),
        "tail (pid 7, 60.0M anonymous) killed for memory at its own limit");
    assert.match(eventText(event("oom", 1, "docker:a", { victim: null, kills: 3, sure: false, outside: true })),
        /^3 tasks killed .* concluded/);
    assert.equal(eventText(event("limit", 1, "docker:a", { from: 64 << 20, to: null })), "limit changed from 64.0M to none");
    assert.equal(eventText(event("deploy", 1, "docker:a", { text: "v2" })), "v2");
    assert.equal(eventText(event("deploy", 1, "docker:a", { text: "v\u202e2" })), "v\\u{202e}2");
});

test("what a guard did says what came of it, and what of it is hostile is escaped", () => {
    const told = (more: Partial<Event>) => eventText(event("guard", 1, "docker:a", { record: "end", ...more }));
    assert.equal(
        told({ action: "reclaim", outcome: "partly", before: 480 << 20, after: 12 << 20, took_ms: 3.4, text: "cache" }),
        "cache reclaim: partly done, 480M → 12.0M, in 3 ms, cache");
    assert.equal(told({ action: "kill", outcome: "refused", took_ms: 1, text: "pid 1\u001b[2J", next: "kill_init" }),
        "kill (SIGKILL): refused, pid 1\\x1b[2J, next: kill_init");
    assert.equal(told({ action: "kill", outcome: "dry-run", took_ms: 1 }), "kill (SIGKILL): would be done (dry run)");
    assert.equal(told({ action: "dance", outcome: "odd" }), "dance: odd");
    assert.match(told({ record: "undo", action: "pause" }), /^pause is over/);
    assert.match(eventText(event("hang", 1, "docker:a", { up: true, hang: "refault-livelock" })), /^hangs at its limit: it does/);
    assert.match(eventText(event("hang", 1, "docker:a", { up: false, hang: "unkillable", hang_for_ms: 5000 })), /no more, after 5s/);
    assert.equal(eventText(event("hang", 1, "docker:a", { up: true, hang: "odd" })), "hangs at its limit: odd");
});
