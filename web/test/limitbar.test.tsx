import assert from "node:assert/strict";
import { test } from "node:test";
import { barWords } from "../src/components/limitbar.tsx";
import { limitBar, openScale, takenByOthers } from "../src/limitbar.ts";
import { rowOf } from "./rows.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

test("used, what can be reclaimed and the marks are shares of the limit", () => {
    const row = rowOf({
        name: "a",
        used: 60 * MIB,
        usage: 90 * MIB,
        limit: 120 * MIB,
        limit_from: "/a",
        high: 100 * MIB,
    });
    const bar = limitBar(row, 90, GIB);
    assert.deepEqual(bar, {
        scale: 120 * MIB,
        used: 0.5,
        reclaimable: 0.25,
        others: 0,
        alert: 0.9,
        high: 100 / 120,
        open: false,
        reclaimableBytes: 30 * MIB,
    });
    assert.equal(
        barWords(row, bar, 90),
        "used 60.0M of 120M, reclaimable 30.0M, alert at 90 %, memory.high at 100M",
    );
});

test("nothing leaves the bar", () => {
    const row = rowOf({
        name: "a",
        used: 130,
        usage: 150,
        limit: 100,
        limit_from: "/a",
        high: 200,
    });
    const bar = limitBar(row, 90, null);
    assert.equal(bar?.used, 1);
    assert.equal(bar?.reclaimable, 0);
    assert.equal(bar?.high, null);
    const odd = limitBar(
        rowOf({ name: "b", used: 50, usage: 40, limit: 100, limit_from: "/a" }),
        90,
        null,
    );
    assert.equal(odd?.reclaimable, 0); // the two are not read at one moment
});

test("without a limit the end of the bar is a scale that all such share", () => {
    const small = rowOf({
        name: "s",
        used: 100 * MIB,
        usage: 120 * MIB,
        limit: 16 * GIB,
        limit_from: "host",
    });
    const large = rowOf({
        name: "l",
        used: 700 * MIB,
        usage: 900 * MIB,
        limit: 16 * GIB,
        limit_from: "host",
    });
    const limited = rowOf({
        name: "x",
        used: 9 * GIB,
        usage: 9 * GIB,
        limit: 10 * GIB,
        limit_from: "/x",
    });
    const open = openScale([small, large, limited], 16 * GIB);
    assert.equal(open, GIB);
    assert.equal(openScale([rowOf({ name: "t", used: 9, usage: 9 })], 16 * GIB), 64 * MIB);
    assert.equal(openScale([limited], null), null);
    const bar = limitBar(large, 90, open);
    assert.equal(bar?.open, true);
    assert.equal(bar?.alert, null);
    assert.ok(Math.abs((bar?.used ?? 0) - 700 / 1024) < 1e-9);
    assert.equal(
        barWords(large, bar, 90),
        "used 700M, reclaimable 200M, no limit but the machine's 16.0G; the bar ends at 1.00G",
    );
});

test("a scale as long as the machine's memory ends in a limit again", () => {
    const row = rowOf({
        name: "l",
        used: 12 * GIB,
        usage: 14 * GIB,
        limit: 16 * GIB,
        limit_from: "host",
    });
    const open = openScale([row], 16 * GIB);
    assert.equal(open, 16 * GIB);
    assert.deepEqual([limitBar(row, 90, open)?.open, limitBar(row, 90, open)?.alert], [false, 0.9]);
});

test("what is not known is not drawn", () => {
    assert.equal(limitBar(rowOf({ name: "a", limit: 5, limit_from: "/a" }), 90, 7), null);
    assert.equal(limitBar(rowOf({ name: "a", used: 5 }), 90, null), null);
    assert.equal(barWords(rowOf({ name: "a" }), null, 90), "used or limit is not known");
    const bar = limitBar(rowOf({ name: "a", used: 5, limit: 10, limit_from: "/a" }), 90, null);
    assert.deepEqual([bar?.reclaimable, bar?.reclaimableBytes], [0, null]);
});

test("room that others have taken is seen", () => {
    const row = rowOf({
        name: "a",
        used: 30,
        usage: 30,
        limit: 100,
        limit_from: "/pod",
        headroom: 10,
    });
    const bar = limitBar(row, 90, null);
    assert.equal(bar?.others, 0.6);
    assert.equal(
        barWords(row, bar, 90),
        "used 30B of 100B, reclaimable 0B, alert at 90 %, others have taken 60B of it",
    );
    assert.equal(takenByOthers({ ...row, headroom: 69 }), 0);
    assert.equal(takenByOthers({ ...row, headroom: null }), 0);
});
