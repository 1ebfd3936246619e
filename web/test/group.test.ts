import assert from "node:assert/strict";
import { test } from "node:test";
import { groupRows, grouping, outermost } from "../src/group.ts";
import { sortRows } from "../src/sort.ts";
import { groupId, itemsOf } from "../src/views/overview/items.ts";
import { rowOf } from "./rows.ts";

const ROWS = [
    rowOf({
        name: "a",
        compose: "shop",
        used: 10,
        limit: 100,
        limit_from: "self",
        state: "steady",
        oom_kills_total: 1,
        cgroup: "/docker/a",
    }),
    rowOf({
        name: "b",
        compose: "shop",
        used: 20,
        limit: 1000,
        limit_from: "host",
        state: "high",
        cgroup: "/docker/b",
    }),
    rowOf({
        name: "c",
        compose: "blog",
        used: 50,
        limit: 60,
        limit_from: "self",
        state: "growing",
        cgroup: "/docker/c",
    }),
    rowOf({
        name: "d",
        used: 500,
        limit: 600,
        limit_from: "self",
        state: "hung",
        pod: "p",
        namespace: "n",
        cgroup: "/kubepods/p/d",
    }),
];

test("groups have sums, and the state of their worst", () => {
    const groups = groupRows(sortRows(ROWS, "state", true), "compose", "state", true);
    assert.deepEqual(
        groups.map((group) => [
            group.name,
            group.rows.length,
            group.used,
            group.limits,
            group.unlimited,
            group.ooms,
            group.worst,
        ]),
        [
            ["shop", 2, 30, 100, 1, 1, "high"],
            ["blog", 1, 50, 60, 0, null, "growing"],
            [null, 1, 500, 600, 0, null, "hung"],
        ],
    );
});

test("groups come in the order of their sums, those in none last", () => {
    const names = (desc: boolean) =>
        groupRows(sortRows(ROWS, "used", desc), "compose", "used", desc).map((group) => group.name);
    assert.deepEqual(names(true), ["blog", "shop", null]);
    assert.deepEqual(names(false), ["shop", "blog", null]);
});

test("pods are told apart by namespace, slices by the parent's path", () => {
    const names = (by: "pod" | "slice") =>
        groupRows(sortRows(ROWS, "name", false), by, "name", false).map((group) => group.name);
    assert.deepEqual(names("pod"), ["n/p", null]);
    assert.deepEqual(names("slice"), ["/docker", "/kubepods/p"]);
});

test("memory inside of another listed one is not counted twice", () => {
    const outer = rowOf({ name: "outer", used: 100, cgroup: "/docker/x", compose: "y" });
    const inner = rowOf({ name: "inner", used: 40, cgroup: "/docker/x/docker/z", compose: "y" });
    const other = rowOf({ name: "other", used: 1, cgroup: "/docker/xy", compose: "y" });
    assert.deepEqual(outermost([inner, outer, other]), [outer, other]);
    assert.equal(groupRows([inner, outer, other], "compose", "name", false)[0]?.used, 101);
});

test("a closed group keeps its head", () => {
    const order = { sort: "name", desc: false, group: "compose" };
    const ids = (closed: string[]) => itemsOf(ROWS, order, new Set(closed)).map((item) => item.id);
    assert.deepEqual(ids([]), [
        "group blog",
        "docker:c",
        "group shop",
        "docker:a",
        "docker:b",
        "group",
        "docker:d",
    ]);
    assert.deepEqual(ids([groupId("shop"), groupId(null)]), [
        "group blog",
        "docker:c",
        "group shop",
        "group",
    ]);
});

test("an address may name any grouping, only known ones are used", () => {
    assert.equal(grouping("pod"), "pod");
    assert.equal(grouping("toString"), null);
});

test("a limit that is shared is counted once", () => {
    const shared = { compose: "y", limit: 100, limit_from: "/pod" };
    const rows = [
        rowOf({ name: "a", ...shared, cgroup: "/pod/a" }),
        rowOf({ name: "b", ...shared, cgroup: "/pod/b" }),
        rowOf({ name: "c", compose: "y", limit: 5, limit_from: "/c", cgroup: "/c" }),
    ];
    assert.equal(groupRows(rows, "compose", "name", false)[0]?.limits, 105);
});
