// The order of the list. Rows whose value is not known come last, whichever way it is turned.
import type { Row } from "./api/types.ts";
import { badness } from "./components/state.tsx";

export type SortColumn =
    | "name"
    | "runtime"
    | "pct"
    | "used"
    | "limit"
    | "trend"
    | "ttl"
    | "psi"
    | "ooms"
    | "restarts"
    | "state";

/** In the order of the columns; `desc`: which way a first click turns it. */
export const SORT_COLUMNS: readonly { id: SortColumn; desc: boolean }[] = [
    { id: "name", desc: false },
    { id: "runtime", desc: false },
    { id: "pct", desc: true },
    { id: "used", desc: true },
    { id: "limit", desc: true },
    { id: "trend", desc: true },
    { id: "ttl", desc: false },
    { id: "psi", desc: true },
    { id: "ooms", desc: true },
    { id: "restarts", desc: true },
    { id: "state", desc: true },
];

export function sortColumn(id: string): (typeof SORT_COLUMNS)[number] {
    return SORT_COLUMNS.find((column) => column.id === id) ?? { id: "state", desc: true };
}

/** All kills that are known, those of earlier instances too; in the past only the instance's. */
export function kills(row: Row): number | null {
    return row.oom_kills_total ?? row.oom_kills;
}

const COLLATOR = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

export function compareText(a: string, b: string): number {
    return COLLATOR.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}

type Value = number | string | null;

const VALUE: Record<SortColumn, (row: Row) => Value> = {
    name: (row) => row.name,
    runtime: (row) => row.runtime ?? row.kind,
    pct: (row) => row.used_pct,
    used: (row) => row.used,
    limit: (row) => row.limit,
    trend: (row) => row.trend_bytes_per_h,
    ttl: (row) => row.time_to_limit_s,
    psi: (row) => row.psi_some_avg10,
    ooms: kills,
    restarts: (row) => row.restarts,
    state: (row) => badness(row.state),
};

function compareValues(a: Value | undefined, b: Value | undefined, desc: boolean): number {
    if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
    if (b === null || b === undefined) return -1;
    const order =
        typeof a === "string" || typeof b === "string" ? compareText(String(a), String(b)) : a - b;
    return desc ? -order : order;
}

/** Equal ones: the fuller first, then by name, so that the order is always the same. */
export function compareRows(a: Row, b: Row, column: SortColumn, desc: boolean): number {
    const value = VALUE[column];
    return (
        compareValues(value(a), value(b), desc) ||
        (column === "state" ? compareValues(a.used_pct, b.used_pct, desc) : 0) ||
        compareText(a.name, b.name) ||
        compareText(a.key, b.key)
    );
}

export function sortRows(rows: readonly Row[], column: SortColumn, desc: boolean): Row[] {
    return [...rows].sort((a, b) => compareRows(a, b, column, desc));
}
