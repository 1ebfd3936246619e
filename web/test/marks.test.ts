import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "../src/api/types.ts";
import { essential, groupsOf } from "../src/charts/marks.ts";

const GRAVITY = ["oom", "restart", "start"];
const mark = (kind: string, at: number) => ({ kind, at, text: kind });
const event = (kind: string, at_ms: number): Event => ({
    kind,
    at_ms,
    series: 1,
    key: "k",
    name: "n",
});

test("marks that would cover one another are one, of the gravest kind", () => {
    const groups = groupsOf(
        [mark("restart", 120), mark("oom", 110), mark("gc", 100), mark("start", 900)],
        50,
        GRAVITY,
    );
    assert.deepEqual(
        groups.map(({ kind, at, marks }) => [kind, at, marks.length]),
        [
            ["oom", 110, 3],
            ["start", 900, 1],
        ],
    );
});

test("a kind that nobody knows is a mark too, and a chain of marks does not become endless", () => {
    assert.equal(groupsOf([mark("surprise", 1)], 50, GRAVITY)[0]?.kind, "surprise");
    const chain = Array.from({ length: 10 }, (_, i) => mark("oom", i * 40));
    assert.equal(groupsOf(chain, 50, GRAVITY).length, 5);
});

test("the end and the start that belong to a kill or a restart are not told again", () => {
    const events = [
        event("restart", 1040),
        event("end", 1020),
        event("oom", 1000),
        event("start", 90_000),
    ];
    assert.deepEqual(
        essential(events).map(({ kind }) => kind),
        ["restart", "oom", "start"],
    );
});
