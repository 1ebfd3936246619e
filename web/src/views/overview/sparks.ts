// The curves of the list: `used` over the shown window, asked for all rows at once, seldom.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { apiPath, get, tokenWanted } from "../../api/client.ts";
import type { Row, Sparks } from "../../api/types.ts";
import { now } from "../../state/app.ts";
import { liveAt } from "../../state/rows.ts";
import { DEFAULT_VIEW, rangeOf, view } from "../../state/url.ts";

const POINTS = 90;
const EVERY_MS = 30_000;
const SOON_MS = 3_000;
const LIST_FROM = "-2h"; // where the address says nothing: longer than one container's charts

export type Curve = readonly (number | null)[];

/** By the number of a row's series. */
export const sparks = signal<ReadonlyMap<number, Curve>>(new Map());

export function sparkFrom(from: string): string {
    return from === DEFAULT_VIEW.from ? LIST_FROM : from;
}

let abort: AbortController | null = null; // of the one that is under way

async function load(from: string, to: string): Promise<void> {
    if (tokenWanted.peek()) return;
    abort?.abort();
    const mine = new AbortController();
    abort = mine;
    const range = rangeOf({ from: sparkFrom(from), to }, now.peek());
    const path = apiPath("api/v1/sparks", {
        metric: "used",
        from: range.from_ms,
        to: range.live ? "now" : range.to_ms,
        points: POINTS,
    });
    try {
        const answer = await get<Sparks>(path, { signal: mine.signal });
        sparks.value = new Map(Object.entries(answer.series).map(([series, curve]) => [Number(series), curve]));
    } catch {
        // Curves are an extra: the link badge tells that nobody answers, and they are asked again.
    } finally {
        if (abort === mine) abort = null;
    }
}

/** Keeps them fresh while the list is shown; a row that is new gets its curve soon. */
export function useSparks(rows: readonly Row[]): void {
    const { from, to } = view.value;
    const live = to === "now";
    const known = liveAt.value !== null || !live;
    useEffect(() => {
        if (!known) return;
        void load(from, to);
        const timer = setInterval(() => {
            if (live && !document.hidden) void load(from, to);
        }, EVERY_MS);
        return () => {
            clearInterval(timer);
            abort?.abort();
        };
    }, [from, to, known]);
    const names = rows.reduce((hash, row) => (hash * 31 + (row.series ?? 0)) | 0, rows.length);
    useEffect(() => {
        const missing = rows.some((row) => row.series !== null && !sparks.peek().has(row.series));
        if (!missing || !live || !known) return;
        const timer = setTimeout(() => {
            if (!abort) void load(from, to);
        }, SOON_MS);
        return () => clearTimeout(timer);
    }, [names, known]);
}
