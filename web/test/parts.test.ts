import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { PARTS, partsOf, reclaimableOf, staysOf, type Counters, type Parts } from "../src/parts.ts";

interface Case {
    name: string;
    sample: Counters & { used?: number };
    parts: Parts | null;
}

const cases = JSON.parse(readFileSync("../tests/fixtures/parts.json", "utf8")) as Case[];

for (const { name, sample, parts } of cases)
    test(`parts: ${name}`, () => {
        assert.deepEqual(partsOf(sample), parts);
    });

test("the parts add up to usage", () => {
    for (const { sample } of cases) {
        const parts = partsOf(sample);
        if (parts === null) continue;
        assert.equal(staysOf(parts) + reclaimableOf(parts), sample.usage);
        assert.ok(PARTS.every(({ id }) => parts[id] >= 0));
    }
});

test("what stays is what the agent calls used, where all counters are known", () => {
    const captured = cases.filter(({ sample }) => sample.used !== undefined);
    assert.ok(captured.length >= 3);
    for (const { sample } of captured) assert.equal(staysOf(partsOf(sample) as Parts), sample.used);
});
