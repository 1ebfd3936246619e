// What the stream tells, kept as columns for the charts. Pure.

export const COLUMNS = [
    "at_ms",
    "collections",
    "forced",
    "live",
    "goal",
    "heap_start",
    "heap_end",
    "pause_ns",
    "gc_cpu_pct",
    "sys",
    "released",
] as const;
export type ColumnName = (typeof COLUMNS)[number];
export type Point = readonly (number | null)[];

export interface Summary {
    collections: number;
    forced: number;
    periodic: number;
    programs: number;
    pause_p50_ns: number | null;
    pause_p95_ns: number | null;
    pause_max_ns: number | null;
    gc_cpu_pct: number | null;
    live: number | null;
    goal: number | null;
    live_trend: "growing" | "shrinking" | "steady" | "unknown";
    live_bytes_per_h: number | null;
}

export interface Message {
    command: string[];
    state: "running" | "ended";
    code: number | null;
    per_point: number;
    columns: string[];
    from: number;
    points: Point[];
    summary: Summary;
}

export interface State extends Omit<Message, "from" | "points" | "columns"> {
    points: Point[];
}

/** The points of a message take the place of those from `from` on. */
export function applied(state: State | null, message: Message): State {
    const { from, points, columns: _, ...rest } = message;
    return { ...rest, points: [...(state?.points ?? []).slice(0, from), ...points] };
}

export function column(points: readonly Point[], name: ColumnName): (number | null)[] {
    const at = COLUMNS.indexOf(name);
    return points.map((point) => point[at] ?? null);
}

export function isKnown(values: readonly (number | null)[]): boolean {
    return values.some((value) => value !== null);
}

/** Seconds at which forced collections were. */
export function forcedAt(points: readonly Point[]): number[] {
    return points.filter((point) => (point[2] ?? 0) > 0).map((point) => (point[0] ?? 0) / 1000);
}

/** Of places in rising order those that are so far from the last one kept. */
export function thinned(places: readonly number[], least: number): number[] {
    const kept: number[] = [];
    for (const place of places) if (kept.length === 0 || place - (kept.at(-1) ?? 0) >= least) kept.push(place);
    return kept;
}

/** "1.23ms", "45.6us": three digits, as in the terminal. */
export function nanos(ns: number | null): string {
    if (ns === null) return "-";
    if (ns === 0) return "0";
    const [unit, name] = ns >= 1e9 ? [1e9, "s"] : ns >= 1e6 ? [1e6, "ms"] : [1e3, "us"];
    const value = ns / (unit as number);
    return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0) + name;
}
