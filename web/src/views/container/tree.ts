// Processes as the tree that their parents make, sorted among brothers.
import type { Process } from "../../api/types.ts";

export type SortKey = "pid" | "command" | "res" | "pss" | "uss" | "swap" | "fds" | "threads";

const SORT_KEYS: readonly SortKey[] = [
    "pid",
    "command",
    "res",
    "pss",
    "uss",
    "swap",
    "fds",
    "threads",
];

export interface Order {
    key: SortKey;
    desc: boolean;
}

/** Of the address: "pss", "pid-asc"; what it does not know is the usual order. */
export function orderOf(text: string): Order {
    const [name = "", way] = text.split("-");
    const key = SORT_KEYS.find((one) => one === name);
    return key ? { key, desc: way !== "asc" } : { key: "res", desc: true };
}

/** "" is the usual order. */
export function orderText({ key, desc }: Order): string {
    if (key === "res" && desc) return "";
    return desc ? key : `${key}-asc`;
}

export interface TreeRow {
    process: Process;
    depth: number;
    /** For each level whether a brother follows: where lines are drawn. */
    more: readonly boolean[];
}

export function commandOf(process: Process): string {
    return process.command || process.comm || "?";
}

/** What is not known comes last, whichever way it is sorted. */
function compare(a: Process, b: Process, key: SortKey, desc: boolean): number {
    const sign = desc ? -1 : 1;
    if (key === "command") return sign * commandOf(a).localeCompare(commandOf(b)) || a.pid - b.pid;
    const [left, right] = [a[key], b[key]];
    if (left === null || right === null)
        return Number(left === null) - Number(right === null) || a.pid - b.pid;
    return sign * (left - right) || a.pid - b.pid;
}

/** A parent that is not listed, or one that is its own ancestor, leaves a process at the root. */
export function treeOf(processes: readonly Process[], key: SortKey, desc: boolean): TreeRow[] {
    const children = new Map<number | null, Process[]>();
    const known = new Set(processes.map(({ pid }) => pid));
    for (const process of processes) {
        const parent =
            process.ppid !== null && process.ppid !== process.pid && known.has(process.ppid)
                ? process.ppid
                : null;
        children.set(parent, [...(children.get(parent) ?? []), process]);
    }
    const rows: TreeRow[] = [];
    const seen = new Set<number>();
    const add = (parent: number | null, depth: number, more: readonly boolean[]): void => {
        const brothers = (children.get(parent) ?? []).filter(({ pid }) => !seen.has(pid));
        brothers.sort((a, b) => compare(a, b, key, desc));
        brothers.forEach((process, i) => {
            if (seen.has(process.pid)) return;
            seen.add(process.pid);
            const lines = depth === 0 ? [] : [...more, i < brothers.length - 1];
            rows.push({ process, depth, more: lines });
            add(process.pid, depth + 1, lines);
        });
    };
    add(null, 0, []);
    for (const process of processes)
        if (!seen.has(process.pid)) {
            seen.add(process.pid);
            rows.push({ process, depth: 0, more: [] });
            add(process.pid, 1, []);
        }
    return rows;
}

/** The lines before a name: "│  └─ ". */
export function branch(row: TreeRow): string {
    return row.more
        .map((more, level) => (level < row.depth - 1 ? (more ? "│ " : "  ") : more ? "├─" : "└─"))
        .join("");
}

/** Null when it is not known of any. */
export function sumOf(
    processes: readonly Process[],
    key: "res" | "pss" | "uss" | "swap" | "fds" | "threads",
): number | null {
    const known = processes.map((process) => process[key]).filter((value) => value !== null);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}
