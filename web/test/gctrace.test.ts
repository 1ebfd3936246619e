import assert from "node:assert/strict";
import { test } from "node:test";
import { applied, COLUMNS, column, forcedAt, nanos, thinned, type Message, type Point } from "../src/gctrace/state.ts";

const point = (at: number, forced = 0): Point => COLUMNS.map((_, i) => [at, 1, forced][i] ?? null);

function message(from: number, points: Point[]): Message {
    return {
        command: ["x"],
        state: "running",
        code: null,
        per_point: 1,
        columns: [...COLUMNS],
        from,
        points,
        summary: {
            collections: from + points.length,
            forced: 0,
            periodic: 0,
            programs: 1,
            pause_p50_ns: null,
            pause_p95_ns: null,
            pause_max_ns: null,
            gc_cpu_pct: null,
            live: null,
            goal: null,
            live_trend: "unknown",
            live_bytes_per_h: null,
        },
    };
}

test("points of a message take the place of those that had grown", () => {
    let state = applied(null, message(0, [point(1), point(2)]));
    state = applied(state, message(1, [point(3), point(4)]));
    assert.deepEqual(column(state.points, "at_ms"), [1, 3, 4]);
    state = applied(state, message(0, [point(9)]));
    assert.deepEqual(column(state.points, "at_ms"), [9]);
    assert.equal(state.summary.collections, 1);
});

test("forced collections are where they were, in seconds", () => {
    assert.deepEqual(forcedAt([point(500), point(1500, 1), point(2500, 2)]), [1.5, 2.5]);
});

test("times have three digits, and unknown ones a dash", () => {
    assert.deepEqual([null, 0, 1500, 78_000, 1_234_000, 999_600_000, 2_500_000_000].map(nanos), [
        "-",
        "0",
        "1.50us",
        "78.0us",
        "1.23ms",
        "1000ms",
        "2.50s",
    ]);
});

test("marks that are close together are thinned out", () => {
    assert.deepEqual(thinned([0, 3, 9, 10, 11, 25], 10), [0, 10, 25]);
    assert.deepEqual(thinned([], 10), []);
    assert.equal(thinned(Array.from({ length: 4200 }, (_, i) => i / 10), 10).length, 42);
});
