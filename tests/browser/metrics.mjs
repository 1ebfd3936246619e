/** The table of metrics, read from the one place that has it: src/model/metric.def. */
import { readFileSync } from "node:fs";

const ROW = /^METRIC\((\w+), "(\w+)", "(\w+)", (\w+), (\w+), "([^"]*)", "([^"]*)"\)$/;
const UNITS = { BYTES: "bytes", COUNT: "count", US: "seconds", CENTIPCT: "ratio", FLAG: "flag" };

function exportedName(name, unit) {
    if (unit === "US") {
        return `plimsoll_${name.replace(/_us_total$/, "_seconds_total")}`;
    }
    return `plimsoll_${name}${unit === "CENTIPCT" ? "_ratio" : ""}`;
}

function readTable() {
    const text = readFileSync(new URL("../../src/model/metric.def", import.meta.url), "utf8");
    const rows = text
        .split("\n")
        .map((line) => ROW.exec(line))
        .filter((found) => found !== null);
    return rows.map(([, , key, name, unit, kind, source, help]) => ({
        key,
        name: exportedName(name, unit),
        unit: UNITS[unit],
        kind: kind.toLowerCase(),
        source,
        help,
    }));
}

export const METRICS = readTable();

/** By the key of a row or the exported name; undefined when there is none. */
export function findMetric(word) {
    return METRICS.find((m) => m.key === word || m.name === word);
}

/** A row's number in the unit that /series and /sparks have it in. */
export function exportValue(metric, value) {
    if (value === null || value === undefined) {
        return null;
    }
    const divide = { seconds: 1e6, ratio: 100 }[metric.unit] ?? 1;
    return Number(value) / divide;
}
