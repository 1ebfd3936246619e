// The curves of the list: `used` over the shown window, asked for all rows at once, seldom.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { apiPath, get, tokenWanted } from "../../api/client.ts";
import type { Row, Sparks } from "../../api/types.ts";
import { about, now } from "../../state/app.ts";
import { liveAt } from "../../state/rows.ts";
import { rangeOf, spanText, view, type Range } from "../../state/url.ts";

const POINTS = 90;
const EVERY_MS = { least: 5_000, most: 30_000 };
const SOON_MS = 3_000;

export type Curve = readonly (number | null)[];

/** By the number of a row's series. */
export const sparks = signal<ReadonlyMap<number, Curve>>(new Map());

function sparkRange(from: string, to: string): Range {
    return rangeOf({ from, to }, now.peek());
}

/** "2h" */
export function sparkSpan(): string {
    const { from_ms, to_ms } = sparkRange(view.value.from, view.value.to);
    return spanText(to_ms - from_ms);
}

let abort: AbortController | null = null; // of the one that is under way

async function load(range: Range): Promise<void> {
    if (tokenWanted.peek()) return;
    abort?.abort();
    const mine = new AbortController();
    abort = mine;
    const path = apiPath("api/v1/sparks", {
        metric: "used",
        from: range.from_ms,
        to: range.live ? "now" : range.to_ms,
        points: POINTS,
    });
    try {
        const answer = await get<Sparks>(path, { signal: mine.signal });
        sparks.value = new Map(
            Object.entries(answer.series).map(([series, curve]) => [Number(series), curve]),
        );
    } catch {
        // Curves are an extra: the link badge tells that nobody answers, and they are asked again.
    } finally {
        if (abort === mine) abort = null;
    }
}

/** A short window moves fast. */
function pauseOf({ from_ms, to_ms }: Range): number {
    return Math.min(EVERY_MS.most, Math.max(EVERY_MS.least, (to_ms - from_ms) / POINTS));
}

/** Keeps them fresh while the list is shown; a row that is new gets its curve soon. */
export function useSparks(rows: readonly Row[]): void {
    const { from, to } = view.value;
    const live = to === "now";
    const known = (liveAt.value !== null && about.value !== null) || !live;
    useEffect(() => {
        if (!known) return;
        let timer: ReturnType<typeof setTimeout> | undefined;
        const again = (): void => {
            const range = sparkRange(from, to);
            if (!document.hidden) void load(range);
            if (live) timer = setTimeout(again, pauseOf(range));
        };
        again();
        return () => {
            clearTimeout(timer);
            abort?.abort();
        };
    }, [from, to, known]);
    const names = rows.reduce((hash, row) => (hash * 31 + (row.series ?? 0)) | 0, rows.length);
    useEffect(() => {
        const missing = rows.some((row) => row.series !== null && !sparks.peek().has(row.series));
        if (!missing || !live || !known) return;
        const timer = setTimeout(() => {
            if (!abort) void load(sparkRange(from, to));
        }, SOON_MS);
        return () => clearTimeout(timer);
    }, [names, known]);
}
