// What one target was over the shown span: asked once for a span, then continued with the stream.
import { batch, computed, effect, signal } from "@preact/signals";
import { ApiError, apiPath, get } from "../../api/client.ts";
import type { Curves, Event, Row } from "../../api/types.ts";
import { essential } from "../../charts/marks.ts";
import {
    append,
    emptyTable,
    stepFor,
    tableOf,
    type ColumnSpec,
    type Table,
} from "../../charts/table.ts";
import { PART_METRICS } from "../../parts.ts";
import { about, freshEvents, now } from "../../state/app.ts";
import { liveAt, liveRows, pastRows } from "../../state/rows.ts";
import { isSettled, rangeOf, view, windowKey, type Range } from "../../state/url.ts";

/** The agent answers at most 16 metrics at once. */
export const SIZE_METRICS = [...PART_METRICS, "used", "limit", "high", "swap"] as const;
export const RATE_METRICS = [
    "psi_some_us",
    "psi_full_us",
    "refault_file",
    "refault_anon",
    "pgfault",
    "pgmajfault",
    "cpu_us",
] as const;
/** What language runtimes say, every 15 s. */
export const RUNTIME_SIZES = ["rt_heap_used", "rt_heap_committed", "rt_heap_idle", "rt_tasks"] as const;
export const RUNTIME_COUNTERS = ["rt_gcs", "rt_gc_us"] as const;
const MORE_METRICS = [...RATE_METRICS, ...RUNTIME_SIZES, ...RUNTIME_COUNTERS] as const;
const ASKED = [SIZE_METRICS, MORE_METRICS];

const SPECS: readonly ColumnSpec[] = [
    ...[...PART_METRICS, "used", "swap"].map((metric) => ({
        name: metric,
        metric,
        pick: "mean" as const,
    })),
    { name: "peak", metric: "usage", pick: "max" },
    { name: "limit", metric: "limit", pick: "last" },
    { name: "high", metric: "high", pick: "last" },
    ...MORE_METRICS.map((metric) => ({ name: metric, metric, pick: "last" as const })),
];

/** Many starts and ends must not hide these. */
const GRAVE_KINDS = ["oom", "hang", "guard", "gc", "restart", "limit"];

/** Those of both lists once, the newest first. */
export function merged(newest: readonly Event[], grave: readonly Event[]): Event[] {
    const oldest = newest[newest.length - 1]?.at_ms ?? Infinity;
    return [...newest, ...grave.filter(({ at_ms }) => at_ms < oldest)];
}

const REFRESH_MS = 4 * 60_000;
const MOST_EVENTS = 500;
const SETTLE_MS = 400;
const MISSED_STEPS = 8;

export type Phase =
    | { name: "loading" }
    | { name: "ready" }
    // No such target in this span, or no history: only what the stream tells is shown.
    | { name: "unknown" }
    | { name: "failed"; text: string };

/** The row that numbers are shown of. */
export interface Cursor {
    row: number | null;
    isLast: boolean; // nobody points anywhere: it is the newest
}

/** The instance that began last, when there are two of a key for a moment. */
export function findRow(rows: readonly Row[], key: string): Row | null {
    const found = rows.filter((row) => row.key === key);
    return found.reduce<Row | null>(
        (best, row) => ((row.born_ms ?? 0) >= (best?.born_ms ?? 0) ? row : best),
        null,
    );
}

/** A row's number in the unit of /series. */
export function numberOf(row: Row, metric: string): number | null {
    const value = row[metric];
    if (typeof value !== "number") return null;
    return metric.endsWith("_us") ? value / 1e6 : value;
}

function phaseOf(error: unknown): Phase {
    if (!(error instanceof ApiError)) return { name: "failed", text: String(error) };
    return error.status === 404 ? { name: "unknown" } : { name: "failed", text: error.message };
}

export class History {
    readonly key: string;
    readonly table = signal<Table>(emptyTable(SPECS, 1000));
    readonly events = signal<readonly Event[]>([]);
    readonly eventsCut = signal(false);
    readonly phase = signal<Phase>({ name: "loading" });
    private abort: AbortController | null = null;
    private isLoading = false;
    private wantsEvents = false; // as soon as it is known that there is such a target
    private missed: { at: number; row: Row }[] = []; // told while the answer is on its way
    private readonly windowKey = computed(() => windowKey(view.value));

    constructor(key: string) {
        this.key = key;
    }

    /** Where the shown span lies now. While it is live it ends with the newest look. */
    readonly range = computed<Range>(() => {
        const range = rangeOf(view.value, now.value);
        if (!range.live) return range;
        const to = liveAt.value ?? range.to_ms;
        return { from_ms: to - (range.to_ms - range.from_ms), to_ms: to, live: true };
    });

    start(): () => void {
        const stops = [
            effect(() => {
                this.windowKey.value;
                if (!isSettled.value) return;
                queueMicrotask(() => void this.load());
            }),
            effect(() => this.continueWith(findRow(liveRows.value, this.key))),
            this.followEvents(),
        ];
        const timer = setInterval(() => {
            const isAsked = this.isListed() || this.phase.peek().name !== "unknown";
            if (this.range.peek().live && !document.hidden && isAsked) void this.load();
        }, REFRESH_MS);
        return () => {
            clearInterval(timer);
            this.abort?.abort();
            stops.forEach((stop) => stop());
        };
    }

    /** The request behind a chart; while live it is one that stays true. */
    path(metrics: readonly string[]): string {
        const range = this.range.peek();
        const { from, to } = view.peek();
        const span =
            range.live && from.startsWith("-")
                ? { from, to }
                : { from: range.from_ms, to: range.to_ms };
        const step = `${this.step(range) / 1000}s`;
        return apiPath("api/v1/series", { target: this.key, metric: metrics, ...span, step });
    }

    retry(): void {
        this.phase.value = { name: "loading" };
        void this.load();
        void this.loadEvents();
    }

    private step(range: Range): number {
        return stepFor(range.to_ms - range.from_ms, about.peek()?.interval_ms ?? 1000);
    }

    private async load(): Promise<void> {
        this.abort?.abort();
        const abort = new AbortController();
        this.abort = abort;
        const range = this.range.peek();
        const stepMs = this.step(range);
        this.isLoading = true;
        this.missed = [];
        const span = { from: range.from_ms - stepMs, to: range.to_ms, step: `${stepMs / 1000}s` };
        try {
            const ask = (metric: readonly string[]): Promise<Curves> =>
                get<Curves>(apiPath("api/v1/series", { target: this.key, metric, ...span }), {
                    signal: abort.signal,
                });
            // Of a name that may be wrong one request tells, and there are no others.
            const first = ask(SIZE_METRICS);
            if (!this.isListed()) await first;
            const answers = await Promise.all([first, ask(MORE_METRICS)]);
            batch(() => {
                this.isLoading = false;
                this.phase.value = { name: "ready" };
                this.table.value = this.missed.reduce(
                    (table, { at, row }) => this.continued(table, at, row),
                    tableOf(SPECS, ASKED, answers, stepMs),
                );
                this.missed = [];
            });
            if (this.wantsEvents) void this.loadEvents();
        } catch (error) {
            if (abort.signal.aborted) return;
            batch(() => {
                this.isLoading = false;
                this.phase.value = phaseOf(error);
                if (this.phase.value.name !== "failed" || this.table.peek().stepMs !== stepMs)
                    this.table.value = emptyTable(SPECS, stepMs);
            });
        }
    }

    /** Whether rows tell that there is such a target. */
    private isListed(): boolean {
        const isThis = ({ key }: Row): boolean => key === this.key;
        return liveRows.peek().some(isThis) || (pastRows.peek()?.some(isThis) ?? false);
    }

    private continueWith(row: Row | null): void {
        const at = liveAt.peek();
        if (!row || at === null || !this.range.peek().live) return;
        const table = this.table.peek();
        const last = table.at[table.at.length - 1];
        if (this.isLoading) {
            this.missed.push({ at, row });
        } else if (this.phase.peek().name === "failed") {
            return;
        } else if (
            this.phase.peek().name === "ready" &&
            last !== undefined &&
            at - last > table.stepMs * MISSED_STEPS
        ) {
            void this.load(); // the page has slept
        } else {
            this.table.value = this.continued(table, at, row);
        }
    }

    private continued(table: Table, at: number, row: Row): Table {
        return append(
            table,
            SPECS,
            at,
            (metric) => numberOf(row, metric),
            this.range.peek().from_ms,
        );
    }

    private followEvents(): () => void {
        let timer: ReturnType<typeof setTimeout> | undefined;
        // What an event changes in the row, as one text: the agent tells kills only by itself.
        const changes = computed(() => {
            const row = findRow(liveRows.value, this.key);
            return JSON.stringify([
                row?.uid,
                row?.restarts,
                row?.oom_kills_total,
                row?.own_limit,
                freshEvents.value[0]?.at_ms,
            ]);
        });
        const stop = effect(() => {
            this.windowKey.value;
            changes.value;
            if (!isSettled.value) return;
            clearTimeout(timer);
            timer = setTimeout(
                () => void this.loadEvents(),
                this.events.peek().length === 0 ? 0 : SETTLE_MS,
            );
        });
        return () => {
            clearTimeout(timer);
            stop();
        };
    }

    private async loadEvents(): Promise<void> {
        // Until it is known whether there is such a target nothing more is asked of it.
        this.wantsEvents = this.phase.peek().name === "loading" && !this.isListed();
        if (this.wantsEvents) return;
        if (this.phase.peek().name === "unknown" && !this.isListed()) {
            this.events.value = [];
            return;
        }
        const { from_ms, to_ms, live } = this.range.peek();
        const span = live ? { from: from_ms } : { from: from_ms, to: to_ms };
        try {
            const ask = async (kind?: readonly string[]): Promise<Event[]> => {
                const params = { target: this.key, limit: MOST_EVENTS, kind, ...span };
                return (await get<{ events: Event[] }>(apiPath("api/v1/events", params))).events;
            };
            const newest = await ask();
            const isCut = newest.length >= MOST_EVENTS;
            const grave = isCut ? await ask(GRAVE_KINDS) : [];
            this.events.value = essential(merged(newest, grave));
            this.eventsCut.value = isCut;
        } catch {
            this.events.value = []; // the charts say what is wrong
        }
    }
}
