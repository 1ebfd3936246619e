import assert from "node:assert/strict";
import { test } from "node:test";
import { SORT_COLUMNS, sortColumn, sortRows } from "../src/sort.ts";
import { itemsOf } from "../src/views/overview/items.ts";
import { Calm } from "../src/views/overview/calm.ts";
import { topsOf, windowOf } from "../src/views/overview/virtual.ts";
import { sparkOf, sparkScale } from "../src/sparkline.ts";
import { rowOf } from "./rows.ts";

const A = rowOf({
    name: "a",
    state: "steady",
    used_pct: 80,
    used: 5,
    limit: 9,
    time_to_limit_s: 60,
});
const B = rowOf({ name: "b10", state: "hung", used_pct: 10, used: 7, limit: 8, oom_kills: 2 });
const C = rowOf({
    name: "b9",
    state: "steady",
    used_pct: 90,
    used: 6,
    time_to_limit_s: 30,
    oom_kills_total: 3,
    oom_kills: 1,
});
const D = rowOf({ name: "B9", state: null });
const ROWS = [A, B, C, D];

const order = (column: (typeof SORT_COLUMNS)[number]["id"], desc: boolean) =>
    sortRows(ROWS, column, desc).map((row) => row.name);

test("the worst first, then the fullest, what is not known last", () => {
    assert.deepEqual(order("state", true), ["b10", "b9", "a", "B9"]);
    assert.deepEqual(sortColumn("nonsense").id, "state");
});

test("numbers go either way, and what is not known stays last", () => {
    assert.deepEqual(order("used", true), ["b10", "b9", "a", "B9"]);
    assert.deepEqual(order("used", false), ["a", "b9", "b10", "B9"]);
    assert.deepEqual(order("ttl", false), ["b9", "a", "B9", "b10"]);
    assert.deepEqual(order("ttl", true), ["a", "b9", "B9", "b10"]);
});

test("kills of earlier instances count", () => {
    assert.deepEqual(order("ooms", true).slice(0, 2), ["b9", "b10"]);
});

test("names sort by their numbers, and always the same", () => {
    assert.deepEqual(order("name", false), ["a", "B9", "b9", "b10"]);
    assert.deepEqual(sortRows([...ROWS].reverse(), "name", false), sortRows(ROWS, "name", false));
});

test("every column sorts every row", () => {
    for (const { id, desc } of SORT_COLUMNS)
        assert.equal(new Set(order(id, desc)).size, ROWS.length, id);
});

test("two rows of one key are two lines", () => {
    const twins = [rowOf({ name: "x", key: "docker:x" }), rowOf({ name: "x", key: "docker:x" })];
    const ids = itemsOf(twins, { sort: "name", desc: false, group: "" }, new Set()).map(
        (item) => item.id,
    );
    assert.equal(ids[0], "docker:x");
    assert.equal(new Set(ids).size, 2);
});

test("of a long list what is in sight is made, and some more", () => {
    const tops = topsOf(Array.from({ length: 500 }, () => 30));
    assert.equal(tops[500], 15000);
    assert.deepEqual(windowOf(tops, -200, 600), { first: 0, end: 33 });
    assert.deepEqual(windowOf(tops, 3000, 3600), { first: 88, end: 133 });
    assert.deepEqual(windowOf(tops, 14900, 15600), { first: 484, end: 500 });
    assert.deepEqual(windowOf(topsOf([30, 30]), 0, 10), { first: 0, end: 2 });
    assert.deepEqual(windowOf([0], 0, 10), { first: 0, end: 0 });
});

test("what hardly moves is a flat line", () => {
    assert.deepEqual(sparkScale([null]), null);
    assert.deepEqual(sparkScale([0, 100]), [0, 100]);
    assert.deepEqual(sparkScale([1000, 1001]), [950.45, 1050.55]);
});

test("a curve has gaps where nothing is known", () => {
    const { line, end } = sparkOf([0, null, 10, 5], 30, 20);
    assert.equal(line, "M0 20h.01M20 0h.01L30 10");
    assert.deepEqual(end, { x: 30, y: 10 });
    assert.deepEqual(sparkOf([], 30, 20), { line: "", area: "", end: null });
    assert.ok(!sparkOf([0, 0], 30, 20).line.includes("NaN"));
});

test("lines keep their order while the pointer moves over them", () => {
    const items = (rows: typeof ROWS) =>
        itemsOf(rows, { sort: "used", desc: true, group: "" }, new Set());
    const names = (list: readonly { row: { name: string } | null }[]) =>
        list.map((item) => item.row?.name);
    const calm = new Calm();
    assert.deepEqual(names(calm.keep(items([A, B, C]), "used", 0)), ["b10", "b9", "a"]);
    const grown = { ...A, used: 99 };
    calm.touch(1000);
    assert.deepEqual(names(calm.keep(items([grown, B, C]), "used", 1100)), ["b10", "b9", "a"]);
    assert.deepEqual(names(calm.keep(items([grown, B]), "used", 1200)), ["b10", "a"]); // one has gone
    assert.deepEqual(names(calm.keep(items([grown, B, C]), "other words", 1300)), [
        "a",
        "b10",
        "b9",
    ]);
    calm.touch(2000);
    assert.deepEqual(names(calm.keep(items([grown, B, C, D]), "other words", 2100)), [
        "a",
        "b10",
        "b9",
        "B9",
    ]);
    assert.deepEqual(names(calm.keep(items([A, B, C, D]), "other words", 5000)), [
        "b10",
        "b9",
        "a",
        "B9",
    ]);
});
