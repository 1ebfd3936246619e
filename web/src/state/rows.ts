// All targets as they are now: a snapshot, then what changed. Rows are never changed in place, so a
// view may compare them by identity.
import { computed, signal } from "@preact/signals";
import type { Row, Snapshot, Tick } from "../api/types.ts";

const HOST_UID = 0;

export class Table {
    private byUid = new Map<number, Row>();

    snapshot(message: Snapshot): void {
        this.byUid = new Map();
        for (const row of message.targets) if (row.uid !== null) this.byUid.set(row.uid, row);
    }

    /** False: a change of a row that we never saw whole. */
    tick(message: Tick): boolean {
        let whole = true;
        for (const change of message.targets) {
            const before = this.byUid.get(change.uid);
            if (before) this.byUid.set(change.uid, { ...before, ...change } as Row);
            else if (typeof change.key === "string") this.byUid.set(change.uid, change as Row);
            else whole = false;
        }
        for (const uid of message.gone ?? []) this.byUid.delete(uid);
        return whole;
    }

    rows(): Row[] {
        return [...this.byUid.values()];
    }
}

/** The machine's own row and all others, as last told. */
export const liveRows = signal<readonly Row[]>([]);
export const liveAt = signal<number | null>(null);

/** Rows of a moment of the past while one is shown; null: now is shown. */
export const pastRows = signal<readonly Row[] | null>(null);

export const allRows = computed(() => pastRows.value ?? liveRows.value);
export const hostRow = computed(() => allRows.value.find(isHost) ?? null);

export function isHost(row: Row): boolean {
    return row.uid === HOST_UID || row.key === "host";
}

/** What people start and name: containers (those of pods and of `plimsoll run` too) and virtual
 * machines. Pods, slices and plain groups only hold them, services are the machine's own, helpers
 * serve them: these are listed when they are asked for. */
export function isWorkload(row: Row): boolean {
    return row.kind === "container" || row.kind === "vm";
}
