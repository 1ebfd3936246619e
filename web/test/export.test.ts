import assert from "node:assert/strict";
import { test } from "node:test";
import { csvField, csvOf, fileName, jsonOf } from "../src/charts/export.ts";

const SHEET = {
    id: "psi",
    title: "composition",
    target: "web",
    names: ["anon_bytes", "psi_some_percent"],
    at: [1_795_000_000_000, 1_795_000_001_000, 1_795_000_002_000],
    columns: [
        [4096, null, 8192],
        [1 / 3, null, null],
    ],
};

test("CSV has a header, ISO times and ms; unknown is empty, gaps are left out", () => {
    assert.equal(
        csvOf(SHEET),
        "time,time_ms,anon_bytes,psi_some_percent\r\n" +
            "2026-11-18T11:06:40.000Z,1795000000000,4096,0.333\r\n" +
            "2026-11-18T11:06:42.000Z,1795000002000,8192,\r\n",
    );
});

test("JSON has the same", () => {
    const { target, points } = JSON.parse(jsonOf(SHEET)) as { target: string; points: object[] };
    assert.equal(target, "web");
    assert.deepEqual(points, [
        {
            time: "2026-11-18T11:06:40.000Z",
            time_ms: 1_795_000_000_000,
            anon_bytes: 4096,
            psi_some_percent: 0.333,
        },
        {
            time: "2026-11-18T11:06:42.000Z",
            time_ms: 1_795_000_002_000,
            anon_bytes: 8192,
            psi_some_percent: null,
        },
    ]);
});

test("fields are quoted where they must be, and are never formulas", () => {
    assert.equal(csvField('a,"b"'), '"a,""b"""');
    assert.equal(csvField("=1+1"), "'=1+1");
});

test("file names are harmless, whatever a target is called", () => {
    const end = Date.UTC(2026, 10, 21, 17, 4, 9);
    assert.equal(fileName("web", "psi", end, "csv"), "web-psi-2026-11-21T170409Z.csv");
    assert.equal(
        fileName("../../<script>\u202e", "psi", end, "png"),
        "script_-psi-2026-11-21T170409Z.png",
    );
    assert.equal(fileName("\u202e", "psi", end, "csv"), "target-psi-2026-11-21T170409Z.csv");
});
