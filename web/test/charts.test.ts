import assert from "node:assert/strict";
import { test } from "node:test";
import type { Curves, Point } from "../src/api/types.ts";
import { tens, timeLabels } from "../src/charts/axis.ts";
import { difference, ratesOf, shareOf, slowRatesOf } from "../src/charts/rates.ts";
import { partsAt, runsOf, stackOf } from "../src/charts/stack.ts";
import { timeTicks } from "../src/charts/ticks.ts";
import {
    append,
    isGap,
    lastKnown,
    nearest,
    stepFor,
    tableOf,
    type ColumnSpec,
} from "../src/charts/table.ts";
import { PART_METRICS } from "../src/parts.ts";

const SPECS: ColumnSpec[] = [
    { name: "usage", metric: "usage", pick: "mean" },
    { name: "peak", metric: "usage", pick: "max" },
    { name: "faults", metric: "pgfault", pick: "last" },
];
const ASKED = [["usage", "limit"], ["pgfault"]];

function answer(...points: Point[][]): Curves {
    const series = points.map((of) => ({ metric: "", unit: "bytes" as const, points: of }));
    return { target: "web", key: "docker:web", step_ms: 1000, from_ms: 0, to_ms: 9000, series };
}

test("answers become columns over one row of times", () => {
    const one = answer(
        [
            [1000, 9, 1, 20, 10],
            [2000, 9, 1, 30, 12],
        ],
        [],
    );
    const table = tableOf(
        SPECS,
        ASKED,
        [
            one,
            answer([
                [2000, 5, 4, 6, 5],
                [3000, 7, 6, 7, 7],
            ]),
        ],
        1000,
    );
    assert.deepEqual(table.at, [1000, 2000, 3000]);
    assert.deepEqual(table.columns, {
        usage: [10, 12, null],
        peak: [20, 30, null],
        faults: [null, 5, 7],
    });
});

test("a gap in time stays one", () => {
    const table = tableOf(
        SPECS,
        ASKED,
        [
            answer(
                [
                    [1000, 1],
                    [9000, 2],
                ],
                [],
            ),
            answer([]),
        ],
        1000,
    );
    assert.deepEqual(table.at, [1000, 2000, 9000]);
    assert.deepEqual(table.columns.usage, [1, null, 2]);
    assert.ok(!isGap(1000, 3000, 1000), "one look that came late");
    assert.ok(!isGap(60_000, 120_000, 1000), "a level of minutes is not full of gaps");
    assert.ok(isGap(60_500, 120_500, 1000));
});

test("the stream goes on with the last step, then with the next", () => {
    const read = (value: number) => (): number => value;
    let table = tableOf(
        SPECS,
        ASKED,
        [
            answer(
                [
                    [0, 10],
                    [5000, 10],
                ],
                [],
            ),
            answer([[5000, 4]]),
        ],
        5000,
    );
    table = append(table, SPECS, 6000, read(20), 0);
    assert.deepEqual(table.at, [0, 5000]);
    assert.deepEqual(table.columns, { usage: [10, 15], peak: [10, 20], faults: [null, 20] });
    table = append(table, SPECS, 7000, read(30), 0);
    assert.equal(table.columns.usage?.[1], 20);
    table = append(table, SPECS, 10_000, read(7), 10_000);
    assert.deepEqual(table.at, [5000, 10_000], "what left the window is gone");
    assert.equal(append(table, SPECS, 4000, read(1), 0), table, "time does not go back");
    table = append(table, SPECS, 60_000, read(9), 0);
    assert.deepEqual(table.columns.usage, [20, 7, null, 9]);
});

test("counters become rates; one that falls began anew; nothing is known across a gap", () => {
    const at = [0, 1000, 2000, 3000, 4000, 9000, 10_000];
    const counter = [100, 110, 130, 5, null, 50, 60];
    assert.deepEqual(ratesOf(at, counter, 1000, 11_000), [null, 10, 20, 5, null, null, 10]);
    assert.deepEqual(ratesOf([0, 9000], [1, 10], 1000, 10_000), [null, null]);
});

test("a step that is not over has no rate", () => {
    const at = [0, 10_000, 20_000];
    assert.deepEqual(ratesOf(at, [0, 100, 110], 10_000, 21_000), [null, 10, null]);
    assert.deepEqual(ratesOf(at, [0, 100, 110], 10_000, 30_000), [null, 10, 1]);
});

test("a share of time is at most all of it, and a difference at least nothing", () => {
    assert.deepEqual(shareOf([0.25, 1.2, null]), [25, 100, null]);
    assert.deepEqual(difference([5, 1, null, 4], [2, 3, 1, null]), [3, 0, null, null]);
});

test("the stack's upper edge is usage", () => {
    const columns = Object.fromEntries(
        PART_METRICS.map((name) => [name, [name === "usage" ? 100 : 10, null]]),
    );
    const table = { at: [0, 1000], columns, stepMs: 1000, open: 1 };
    const stack = stackOf(table);
    assert.equal(stack.edges.at(-1)?.[0], 100);
    assert.deepEqual(
        stack.edges.map((edge) => edge[1]),
        Array(7).fill(null),
    );
    assert.ok(
        stack.edges.every(
            (edge, i) => i === 0 || Number(edge[0]) >= Number(stack.edges[i - 1]?.[0]),
        ),
    );
    assert.equal(partsAt(table, 1), null);
});

test("stretches without a gap", () => {
    assert.deepEqual(runsOf([1, 2, null, null, 3, null, 4, 5]), [
        [0, 1],
        [4, 4],
        [6, 7],
    ]);
    assert.deepEqual(runsOf([null]), []);
});

test("the nearest moment, and the last that is known", () => {
    assert.equal(nearest([], 5), null);
    assert.deepEqual(
        [0, 14, 16, 99].map((ms) => nearest([10, 20, 30], ms)),
        [0, 0, 1, 2],
    );
    const table = {
        at: [1, 2, 3],
        columns: { a: [1, null, null], b: [null, 2, null] },
        stepMs: 1,
        open: 1,
    };
    assert.equal(lastKnown(table, ["a", "b"]), 1);
    assert.equal(lastKnown(table, ["c"]), null);
});

test("charts have some hundred points, and no step is shorter than the agent's", () => {
    for (const minutes of [10, 60, 360, 1440, 10080, 43200]) {
        const points = (minutes * 60e3) / stepFor(minutes * 60e3, 1000);
        assert.ok(points >= 300 && points <= 900, `${minutes} minutes: ${points}`);
    }
    assert.equal(stepFor(60e3, 5000), 5000);
});

test("times on the axis are short, and a new day is told", () => {
    const noon = new Date(2026, 10, 21, 12).getTime();
    assert.deepEqual(timeLabels([noon, noon + 3600e3], 3600e3), ["12:00", "13:00"]);
    assert.deepEqual(timeLabels([noon, noon + 5000], 5000), ["12:00:00", "12:00:05"]);
    assert.deepEqual(timeLabels([noon, noon + 12 * 3600e3], 12 * 3600e3), ["12:00", "11-22"]);
    const [first] = timeTicks(noon - 1000, noon + 5000, 3600e3);
    assert.equal(first, noon);
});

test("a compressed axis has powers of ten and 0", () => {
    assert.deepEqual(tens(20), [0, 1, 10, 20]);
    assert.deepEqual(tens(451), [0, 10, 100, 400]);
    assert.deepEqual(tens(110), [0, 10, 100]);
    assert.deepEqual(tens(2000), [0, 10, 100, 2000]);
    assert.deepEqual(tens(0.5), [0]);
});

test("a counter that is read every 3 s on steps of 1 s grows smoothly, and over no gap", () => {
    const at = [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000];
    const counter = [0, 0, 0, 30, 30, 30, 60, 60];
    const rates = slowRatesOf(at, counter, 1000, 20_000, 3000);
    assert.deepEqual(rates, [null, null, null, 10, 10, 10, 10, 10]);
    assert.deepEqual(slowRatesOf([0, 5000], [0, 50], 5000, 20_000, 3000), [null, 10]);
    const again = slowRatesOf(at, [90, 90, 90, 0, 3, 6, 9, 12], 1000, 20_000, 3000);
    assert.deepEqual(again, [null, null, null, null, null, null, 3, 3]);
    const gap = slowRatesOf([0, 1000, 60_000, 61_000, 62_000, 63_000], [0, 1, 2, 3, 4, 5], 1000, 1e6, 3000);
    assert.deepEqual(gap, [null, null, null, null, null, 1]);
});
