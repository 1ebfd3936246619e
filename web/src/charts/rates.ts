// Counters as what they grow by in a second.
import { isGap, type Column } from "./table.ts";

/**
 * A counter that falls began anew: what it has counted since then is the least that was added.
 * Across a gap nothing is known. A step that ends after `endMs` is not over yet, so it has no rate.
 */
export function ratesOf(
    at: readonly number[],
    counter: Column,
    stepMs: number,
    endMs: number,
): Column {
    return counter.map((value, row) => {
        const before = counter[row - 1] ?? null;
        const here = at[row] ?? 0;
        const there = at[row - 1] ?? 0;
        if (row === 0 || value === null || before === null) return null;
        if (isGap(there, here, stepMs) || here + stepMs > endMs) return null;
        const added = value >= before ? value - before : value;
        return added / ((here - there) / 1000);
    });
}

/** A counter that is read every `windowMs` only, on shorter steps: its growth over that time. */
export function slowRatesOf(
    at: readonly number[],
    counter: Column,
    stepMs: number,
    endMs: number,
    windowMs: number,
): Column {
    const back = Math.max(1, Math.ceil(windowMs / stepMs));
    if (back === 1) return ratesOf(at, counter, stepMs, endMs);
    let first = 0; // since when it is known without a gap
    return counter.map((value, row) => {
        if (value === null || (row > 0 && isGap(at[row - 1] ?? 0, at[row] ?? 0, stepMs))) {
            first = value === null ? row + 1 : row;
            return null;
        }
        if ((counter[row - 1] ?? value) > value) first = row; // began anew
        const from = row - back;
        const before = counter[from] ?? null;
        if (from < first || before === null) return null;
        return (value - before) / (((at[row] ?? 0) - (at[from] ?? 0)) / 1000);
    });
}

/** Of seconds in a second: percent, of which there are at most 100. */
export function shareOf(rates: Column): Column {
    return rates.map((rate) => (rate === null ? null : Math.min(100, rate * 100)));
}

export function scaled(rates: Column, factor: number): Column {
    return rates.map((rate) => (rate === null ? null : rate * factor));
}

export function difference(a: Column, b: Column): Column {
    return a.map((value, row) => {
        const less = b[row] ?? null;
        return value === null || less === null ? null : Math.max(0, value - less);
    });
}
