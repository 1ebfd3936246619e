// How full a target is, as shares of a bar whose end is the limit.
import type { Row } from "./api/types.ts";
import { isUnlimited } from "./group.ts";

export interface LimitBar {
    scale: number; // bytes at the end of the bar
    used: number; // shares of it, 0 to 1; what reclaim cannot take
    reclaimable: number;
    others: number; // at its end: room under the limit that others have taken
    alert: number | null; // where the load line is
    high: number | null; // where memory.high is
    open: boolean; // the end is no limit, only a scale
    reclaimableBytes: number | null;
}

function share(value: number, scale: number): number {
    return Math.min(1, Math.max(0, value / scale));
}

export function reclaimable(row: Row): number | null {
    return row.usage === null || row.used === null ? null : Math.max(0, row.usage - row.used);
}

const LEAST_SCALE = 2 ** 26; // 64M: of less a bar would show what nobody minds

/** One scale for all that have no limit, so that they can be compared: the next power of two above
 * the largest of them, at most the machine's memory. */
export function openScale(rows: readonly Row[], machine: number | null): number | null {
    let most = 0;
    for (const row of rows)
        if (isUnlimited(row)) most = Math.max(most, row.usage ?? 0, row.used ?? 0);
    if (most === 0) return machine;
    const scale = Math.max(LEAST_SCALE, 2 ** Math.ceil(Math.log2(most * 1.1)));
    return machine === null ? scale : Math.min(scale, machine);
}

const LEAST_OTHERS = 0.02; // numbers of one moment do not fit exactly

/** Bytes between used and the limit that cannot be had: under a limit that is shared, or when the
 * machine itself is short. 0 where that is not known. */
export function takenByOthers(row: Row): number {
    if (row.limit === null || row.used === null || row.headroom === null) return 0;
    const taken = row.limit - row.used - row.headroom;
    return taken > row.limit * LEAST_OTHERS ? taken : 0;
}

/** Null: nothing is known to draw. */
export function limitBar(row: Row, alertPct: number, open: number | null): LimitBar | null {
    const isOpen = isUnlimited(row);
    // Where the scale has come to be the machine's memory, its end is a limit like any other.
    const atMachine = isOpen && row.limit !== null && open !== null && open >= row.limit;
    const scale = isOpen && !atMachine ? open : row.limit;
    if (row.used === null || scale === null || scale <= 0) return null;
    const free = reclaimable(row);
    const used = share(row.used, scale);
    return {
        scale,
        used,
        reclaimable: free === null ? 0 : share(row.used + free, scale) - used,
        others: isOpen && !atMachine ? 0 : share(takenByOthers(row), scale),
        alert: isOpen && !atMachine ? null : share(alertPct, 100),
        high: row.high !== null && row.high < scale ? share(row.high, scale) : null,
        open: isOpen && !atMachine,
        reclaimableBytes: free,
    };
}
