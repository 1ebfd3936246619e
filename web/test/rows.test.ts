import assert from "node:assert/strict";
import { test } from "node:test";
import type { Row } from "../src/api/types.ts";
import { Table, isHost, isWorkload } from "../src/state/rows.ts";

function row(uid: number, values: Partial<Row> = {}): Row {
    return { uid, key: `docker:${uid}`, name: `c${uid}`, kind: "container", used: 1, state: "ok", ...values } as Row;
}

test("a tick changes what it tells and leaves the rest", () => {
    const table = new Table();
    table.snapshot({ at_ms: 1, targets: [row(1), row(2)] });
    const before = table.rows();
    assert.ok(table.tick({ at_ms: 2, targets: [{ uid: 2, used: 5, swap: null }] }));
    const after = table.rows();
    assert.equal(after[0], before[0]); // the same object: nothing to draw again
    assert.notEqual(after[1], before[1]);
    assert.equal(after[1]?.used, 5);
    assert.equal(after[1]?.name, "c2");
    assert.equal(before[1]?.used, 1);
});

test("rows come whole and go; a change of an unknown row asks for a snapshot", () => {
    const table = new Table();
    table.snapshot({ at_ms: 1, targets: [row(1)] });
    assert.ok(table.tick({ at_ms: 2, targets: [row(3) as Row & { uid: number }], gone: [1] }));
    assert.deepEqual(table.rows().map((r) => r.uid), [3]);
    assert.equal(table.tick({ at_ms: 3, targets: [{ uid: 9, used: 1 }] }), false);
    table.snapshot({ at_ms: 4, targets: [] });
    assert.deepEqual(table.rows(), []);
});

test("the machine is a row, but no workload; nor is what only holds others", () => {
    assert.ok(isHost(row(0, { key: "host", kind: "group" })));
    assert.ok(!isWorkload(row(0, { key: "host", kind: "group" })));
    assert.ok(!isWorkload(row(4, { kind: "slice" })));
    assert.ok(isWorkload(row(4)));
});
