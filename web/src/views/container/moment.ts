// Which numbers the composition shows at the moment, and which lines its chart has.
import type { ReadonlySignal } from "@preact/signals";
import type { Event, Row } from "../../api/types.ts";
import type { ChartGroup } from "../../charts/group.ts";
import type { Table } from "../../charts/table.ts";
import { PART_METRICS, partsOf, type Counters, type Parts } from "../../parts.ts";
import { about } from "../../state/app.ts";
import { liveAt } from "../../state/rows.ts";
import { numberOf, type Cursor, type History } from "./history.ts";

/** A limit this many times as high as usage would press what is used flat: it is told in words. */
export const FAR = 4;
export const ALERT_DASH = [7, 4];
export const HIGH_DASH = [2, 3];
export const PEAK_DASH = [2, 2];

export interface CompositionProps {
    history: History;
    group: ChartGroup;
    cursor: ReadonlySignal<Cursor>;
    row: Row | null; // while it is live
    target: string;
}

/** The numbers of one moment. */
export interface Moment {
    at: number;
    parts: Parts | null;
    usage: number | null;
    limit: number | null;
    high: number | null;
    swap: number | null;
    told: (metric: string) => number | null;
}

function momentOf(at: number, value: (metric: string) => number | null): Moment {
    const counters: Counters = {};
    for (const metric of PART_METRICS) counters[metric] = value(metric);
    return {
        at,
        parts: partsOf(counters),
        usage: value("usage"),
        limit: value("limit"),
        high: value("high"),
        swap: value("swap"),
        told: value,
    };
}

/** Of what is pointed at; else the newest look itself, which a step of the table has blurred. */
export function shownMoment({ history, cursor, row }: CompositionProps): Moment {
    const at = cursor.value;
    if (at.isLast && row && liveAt.value !== null)
        return momentOf(liveAt.value, (metric) => numberOf(row, metric));
    const table = history.table.value;
    const index = at.row ?? 0;
    return momentOf(table.at[index] ?? 0, (metric) => table.columns[metric]?.[index] ?? null);
}

export function alertMark(limit: number | null, pct: number): number | null {
    return limit === null ? null : (limit * pct) / 100;
}

export function highest(values: readonly (number | null)[] | undefined): number {
    return (values ?? []).reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
}

export interface Marks {
    limit: (number | null)[]; // where it is near enough to be drawn
    limitShown: boolean; // anywhere
    most: number; // a limit above this is not drawn
    alertPct: number;
}

/** A container that just began has the machine's limit for a moment: that alone is left out. */
export function marksOf(table: Table, usage: number | null = null): Marks {
    const most = FAR * Math.max(highest(table.columns.peak), usage ?? 0);
    const limit = (table.columns.limit ?? []).map((value) => (value !== null && value <= most ? value : null));
    const alertPct = about.value?.marks.alert_pct ?? 90;
    return { limit, limitShown: highest(limit) > 0, most, alertPct };
}

export function isNear(limit: number | null, marks: Marks): boolean {
    return limit !== null && limit <= marks.most;
}

/** With one look a step the highest of it is the same. */
export function hasPeak(table: Table): boolean {
    return table.stepMs > (about.value?.interval_ms ?? 1000);
}

/** A point stands for a step that it begins, and the container may have begun within it: of one that
 * ended, its last moment is known better. Events are the newest first. */
export function lastSeen(pointMs: number | null, events: readonly Event[]): number | null {
    if (pointMs === null) return null;
    const end = events.filter((event) => event.kind === "end" && event.at_ms > pointMs).at(-1);
    return end ? end.at_ms - 1 : pointMs;
}
