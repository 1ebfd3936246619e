// What was measured, as columns over one row of times: made from the answers of /api/v1/series and
// continued with the stream's rows. What is not known is null, and a gap in time is a row of nulls.
import type { Curves, Point } from "../api/types.ts";

export type Column = (number | null)[];

/** How the samples of one step become one number. */
export type Pick = "mean" | "last" | "max";

export interface ColumnSpec {
    name: string;
    metric: string; // its key in the API
    pick: Pick;
}

export interface Table {
    readonly at: readonly number[];
    readonly columns: Readonly<Record<string, Column>>;
    readonly stepMs: number;
    readonly open: number; // how many looks the last row is made of, while it is being continued
}

const PICKED: Readonly<Record<Pick, 1 | 3 | 4>> = { last: 1, max: 3, mean: 4 };

function valueOf(point: Point, pick: Pick): number | null {
    return point.length === 2 ? point[1] : point[PICKED[pick]];
}

/** Coarser levels of the history answer with steps of their own. */
const LEVELS_MS = [60_000, 3_600_000];

/** Whether something is missing between two neighbours. */
export function isGap(before: number, after: number, stepMs: number): boolean {
    const apart = after - before;
    if (apart <= stepMs * 2.5) return false;
    return !LEVELS_MS.some((level) => apart === level && before % level === 0);
}

export function emptyTable(specs: readonly ColumnSpec[], stepMs: number): Table {
    return {
        at: [],
        columns: Object.fromEntries(specs.map(({ name }) => [name, []])),
        stepMs,
        open: 0,
    };
}

/** All times that any of them has, in order, with one more in each gap. */
function timesOf(curves: readonly Curves[], stepMs: number): number[] {
    const seen = new Set<number>();
    for (const answer of curves)
        for (const curve of answer.series) for (const [at] of curve.points) seen.add(at);
    const times: number[] = [];
    for (const at of [...seen].sort((a, b) => a - b)) {
        const before = times[times.length - 1];
        if (before !== undefined && isGap(before, at, stepMs)) times.push(before + stepMs);
        times.push(at);
    }
    return times;
}

/** `asked[i]`: the metrics of the request that answers[i] belongs to, in their order. */
export function tableOf(
    specs: readonly ColumnSpec[],
    asked: readonly (readonly string[])[],
    answers: readonly Curves[],
    stepMs: number,
): Table {
    const at = timesOf(answers, stepMs);
    const rowOf = new Map(at.map((ms, row) => [ms, row]));
    const columns: Record<string, Column> = {};
    for (const { name, metric, pick } of specs) {
        const column: Column = new Array<number | null>(at.length).fill(null);
        const request = asked.findIndex((metrics) => metrics.includes(metric));
        const curve = answers[request]?.series[asked[request]?.indexOf(metric) ?? -1];
        for (const point of curve?.points ?? [])
            column[rowOf.get(point[0]) ?? 0] = valueOf(point, pick);
        columns[name] = column;
    }
    return { at, columns, stepMs, open: 1 };
}

function joined(
    pick: Pick,
    before: number | null,
    value: number | null,
    open: number,
): number | null {
    if (value === null || before === null || pick === "last") return value;
    return pick === "max" ? Math.max(before, value) : before + (value - before) / (open + 1);
}

/** One more look: into the last step, or as a new one; what is older than `fromMs` goes. */
export function append(
    table: Table,
    specs: readonly ColumnSpec[],
    atMs: number,
    read: (metric: string) => number | null,
    fromMs: number,
): Table {
    const { stepMs } = table;
    const step = Math.floor(atMs / stepMs) * stepMs;
    const last = table.at[table.at.length - 1];
    if (last !== undefined && step < last) return table;
    const isSame = last === step;
    const isAfterGap = last !== undefined && isGap(last, step, stepMs);
    const added = isSame ? [] : isAfterGap ? [last + stepMs, step] : [step];
    const first = Math.max(
        0,
        table.at.findIndex((ms) => ms >= fromMs - stepMs),
    );
    const at = [...table.at.slice(first), ...added];
    const columns: Record<string, Column> = {};
    for (const { name, metric, pick } of specs) {
        const column = table.columns[name]?.slice(first) ?? [];
        const value = read(metric);
        if (isSame) column.push(joined(pick, column.pop() ?? null, value, table.open));
        else column.push(...(isAfterGap ? [null, value] : [value]));
        columns[name] = column;
    }
    return { at, columns, stepMs, open: isSame ? table.open + 1 : 1 };
}

/** The row nearest to a moment; null when there is none. */
export function nearest(at: readonly number[], ms: number): number | null {
    if (at.length === 0) return null;
    let low = 0;
    let high = at.length - 1;
    while (low < high) {
        const middle = (low + high) >> 1;
        if ((at[middle] ?? 0) < ms) low = middle + 1;
        else high = middle;
    }
    const before = at[low - 1];
    return before !== undefined && ms - before <= (at[low] ?? 0) - ms ? low - 1 : low;
}

/** The last row where any of the columns is known. */
export function lastKnown(table: Table, names: readonly string[]): number | null {
    for (let row = table.at.length - 1; row >= 0; row--)
        if (names.some((name) => (table.columns[name]?.[row] ?? null) !== null)) return row;
    return null;
}

export function isKnown(column: Column | undefined): boolean {
    return column?.some((value) => value !== null) ?? false;
}

/** Whether it is ever more than 0. */
export function isUsed(column: Column | undefined): boolean {
    return column?.some((value) => value !== null && value > 0) ?? false;
}

const STEPS_S = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
];
const MOST_POINTS = 720;

/** The shortest step with which a span has no more points than a chart can show. */
export function stepFor(spanMs: number, intervalMs: number): number {
    const least = Math.max(spanMs / MOST_POINTS, intervalMs);
    return (STEPS_S.find((s) => s * 1000 >= least) ?? 86400) * 1000;
}
