import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { metricZh } from "../src/i18n/metrics.ts";

test("every metric of metric.def has a Chinese definition, and nothing else has", () => {
    const table = readFileSync("../src/model/metric.def", "utf8");
    const keys = [...table.matchAll(/^METRIC\(\w+, "(\w+)"/gm)].map((match) => match[1] ?? "");
    assert.ok(keys.length > 50);
    assert.deepEqual(Object.keys(metricZh).sort(), keys.sort());
});
