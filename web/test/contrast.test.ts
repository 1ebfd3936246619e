import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

type Theme = "light" | "dark";

/** style.css's variables as of a theme. */
function variables(theme: Theme): Map<string, string> {
    const css = readFileSync("src/style.css", "utf8");
    const found = new Map<string, string>();
    for (const [, name = "", value = ""] of css.matchAll(/^ {4}(--[\w-]+): (.*?);/gm)) {
        const both = /^light-dark\((#\w+), (#\w+)\)$/.exec(value);
        found.set(name, both ? (both[theme === "light" ? 1 : 2] ?? "") : value);
    }
    return found;
}

/** WCAG 2: relative luminance of #rrggbb. */
function luminance(hex: string): number {
    const parts = [1, 3, 5].map((at) => {
        const c = parseInt(hex.slice(at, at + 2), 16) / 255;
        return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * (parts[0] ?? 0) + 0.7152 * (parts[1] ?? 0) + 0.0722 * (parts[2] ?? 0);
}

function contrast(a: string, b: string): number {
    const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
}

const TEXT = ["--text", "--soft", "--accent", "--good", "--warn", "--bad"];
const PAIRS = [
    ...TEXT.flatMap((name) => ["--bg", "--panel"].map((on) => [name, on])),
    ...["good", "warn", "bad"].flatMap((word) => [[`--${word}`, `--${word}-bg`], ["--text", `--${word}-bg`]]),
];

for (const theme of ["light", "dark"] as const) {
    test(`${theme}: text can be read on what it stands on`, () => {
        const found = variables(theme);
        for (const [name = "", on = ""] of PAIRS) {
            const ratio = contrast(found.get(name) ?? "", found.get(on) ?? "");
            assert.ok(ratio >= 4.5, `${name} on ${on}: ${ratio.toFixed(2)}`);
        }
    });
    test(`${theme}: parts of usage can be told from the panel and from their neighbours' lightness`, () => {
        const found = variables(theme);
        const stack = ["anon", "shmem", "kernel", "other", "slab", "active", "inactive"];
        const colours = stack.map((part) => found.get(`--part-${part}`) ?? "");
        colours.forEach((colour, i) => {
            const next = colours[i + 1];
            if (next) assert.ok(contrast(colour, next) >= 1.15, `${stack[i]} beside ${stack[i + 1]}`);
        });
    });
}
