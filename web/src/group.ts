// Rows under heads: by pod, compose project or parent group, with sums that count nothing twice.
import type { Row, StateWord } from "./api/types.ts";
import { badness } from "./components/state.tsx";
import { parentOf } from "./filter.ts";
import { compareText, kills, type SortColumn } from "./sort.ts";

export const GROUPINGS = ["pod", "compose", "slice"] as const;
export type Grouping = (typeof GROUPINGS)[number];

export function grouping(text: string): Grouping | null {
    return GROUPINGS.find((one) => one === text) ?? null;
}

export interface Group {
    name: string | null; // null: rows that are in none
    rows: readonly Row[];
    used: number | null;
    limits: number | null; // of those that have one
    unlimited: number; // how many have none
    ooms: number | null;
    restarts: number | null;
    worst: StateWord | null;
}

/** No limit but the machine's own memory. */
export function isUnlimited(row: Row): boolean {
    return row.limit_from === "host" || row.limit === null;
}

/** The limit is not its own, but of a group it lies in. */
export function isLimitAbove(row: Row): boolean {
    const { limit_from: from } = row;
    return from !== null && from !== "self" && from !== row.cgroup && !isUnlimited(row);
}

function groupName(row: Row, by: Grouping): string | null {
    switch (by) {
        case "pod":
            return row.pod === null
                ? null
                : row.namespace === null
                  ? row.pod
                  : `${row.namespace}/${row.pod}`;
        case "compose":
            return row.compose || null;
        case "slice":
            return parentOf(row.cgroup);
    }
}

function sum(values: readonly (number | null)[]): number | null {
    const known = values.filter((value) => value !== null);
    return known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
}

function liesIn(cgroups: ReadonlySet<string>, cgroup: string): boolean {
    for (let at = parentOf(cgroup); at !== "/"; at = parentOf(at)) if (cgroups.has(at)) return true;
    return false;
}

/** Of a group inside another one that is listed too, only the outer counts: it has the inner's memory. */
export function outermost(rows: readonly Row[]): readonly Row[] {
    const cgroups = new Set(rows.map((row) => row.cgroup));
    return rows.filter((row) => !liesIn(cgroups, row.cgroup));
}

/** A limit that several share, being set above them, is counted once. */
function sumOfLimits(rows: readonly Row[]): number | null {
    const limits = new Map<string, number | null>();
    for (const row of rows)
        limits.set(isLimitAbove(row) ? (row.limit_from ?? "") : row.key, row.limit);
    return sum([...limits.values()]);
}

function groupOf(name: string | null, rows: readonly Row[]): Group {
    const outer = outermost(rows);
    const limited = outer.filter((row) => !isUnlimited(row));
    const worst = rows.reduce((a, b) => (badness(b.state) > badness(a.state) ? b : a));
    return {
        name,
        rows,
        used: sum(outer.map((row) => row.used)),
        limits: sumOfLimits(limited),
        unlimited: outer.length - limited.length,
        ooms: sum(outer.map(kills)),
        restarts: sum(rows.map((row) => row.restarts)),
        worst: worst.state,
    };
}

const SUMMED: Partial<Record<SortColumn, (group: Group) => number | null>> = {
    used: (group) => group.used,
    limit: (group) => group.limits,
    ooms: (group) => group.ooms,
    restarts: (group) => group.restarts,
};

/** `rows` are sorted by the column: groups come in the order of their sums, else of their first row.
 * Rows that are in none come last. */
export function groupRows(
    rows: readonly Row[],
    by: Grouping,
    column: SortColumn,
    desc: boolean,
): Group[] {
    const found = new Map<string | null, Row[]>();
    for (const row of rows) {
        const name = groupName(row, by);
        const group = found.get(name);
        if (group) group.push(row);
        else found.set(name, [row]);
    }
    const groups = [...found].map(([name, members]) => groupOf(name, members));
    const value = SUMMED[column];
    const sign = desc ? -1 : 1;
    return groups.sort((a, b) => {
        if (a.name === null || b.name === null)
            return a.name === b.name ? 0 : a.name === null ? 1 : -1;
        if (value)
            return sign * ((value(a) ?? -1) - (value(b) ?? -1)) || compareText(a.name, b.name);
        return column === "name" ? sign * compareText(a.name, b.name) : 0; // found in the rows' order
    });
}
