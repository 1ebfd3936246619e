// Events as marks on the time axis.
import type { Event } from "../api/types.ts";

export interface Mark {
    kind: string;
    at: number;
    text: string;
}

/** Marks that would cover one another are one, with the gravest of their kinds. */
export interface MarkGroup {
    kind: string;
    at: number; // of the gravest
    marks: Mark[]; // oldest first
}

/** How many of the kind that is shown: what else the mark stands for is told when it is pointed at. */
export function countOf(group: MarkGroup): number {
    return group.marks.filter(({ kind }) => kind === group.kind).length;
}

/** An end, and the next start, within this time of a kill or restart are one thing with it. */
const SAME_MS = 5000;

/** A target that was killed ends, and starts again: only what tells most is a mark. */
export function essential(events: readonly Event[]): Event[] {
    const told = events.filter(({ kind }) => kind === "oom" || kind === "restart");
    return events.filter(({ kind, at_ms }) => {
        if (kind !== "start" && kind !== "end") return true;
        return !told.some((other) => Math.abs(other.at_ms - at_ms) <= SAME_MS);
    });
}

/** `gravity`: the kinds, the gravest first; others weigh less than all of these. */
export function groupsOf(
    marks: readonly Mark[],
    apartMs: number,
    gravity: readonly string[],
): MarkGroup[] {
    const weight = (kind: string): number => {
        const found = gravity.indexOf(kind);
        return found < 0 ? gravity.length : found;
    };
    const groups: MarkGroup[] = [];
    for (const mark of [...marks].sort((a, b) => a.at - b.at)) {
        const group = groups[groups.length - 1];
        if (!group || mark.at - (group.marks[0]?.at ?? 0) >= apartMs) {
            groups.push({ kind: mark.kind, at: mark.at, marks: [mark] });
            continue;
        }
        group.marks.push(mark);
        if (weight(mark.kind) < weight(group.kind)) {
            group.kind = mark.kind;
            group.at = mark.at;
        }
    }
    return groups;
}
