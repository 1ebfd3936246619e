// Which events are drawn where: pure.
import type { Event } from "../../api/types.ts";
import { tickStep, timeTicks } from "../../charts/ticks.ts";
import { EVENT_KINDS } from "../../components/event.tsx";

export interface Lane {
    key: string;
    name: string;
    events: Event[];
}

/** An event's rank, the gravest first; unknown kinds are in the middle of what is known. */
function rank(kind: string): number {
    const at = EVENT_KINDS.indexOf(kind);
    return at < 0 ? EVENT_KINDS.length / 2 : at;
}

/** A lane for each container: those with the gravest events first, then those with most of them. */
export function lanesOf(events: readonly Event[]): Lane[] {
    const lanes = new Map<string, Lane>();
    for (const event of events) {
        const key = event.key ?? `series ${event.series ?? "?"}`;
        let lane = lanes.get(key);
        if (!lane) lanes.set(key, (lane = { key, name: event.name ?? key, events: [] }));
        lane.events.push(event);
    }
    const worst = (lane: Lane): number => Math.min(...lane.events.map((event) => rank(event.kind)));
    const count = (lane: Lane): number => lane.events.filter((event) => rank(event.kind) === worst(lane)).length;
    return [...lanes.values()].sort(
        (a, b) => worst(a) - worst(b) || count(b) - count(a) || a.name.localeCompare(b.name),
    );
}

/** How many of each kind, known kinds first and always, in their order. */
export function kindCounts(events: readonly Event[]): [string, number][] {
    const counts = new Map<string, number>(["oom", "hang", "guard", "gc", "restart", "limit", "start", "end"].map((kind) => [kind, 0]));
    for (const event of events) counts.set(event.kind, (counts.get(event.kind) ?? 0) + 1);
    return [...counts].sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
}

/** Marks closer than `apart` of the window are one: [place 0..1, its events, the gravest first]. */
export function clusters(events: readonly Event[], fromMs: number, toMs: number, apart: number): [number, Event[]][] {
    const out: [number, Event[]][] = [];
    const length = Math.max(1, toMs - fromMs);
    for (const event of [...events].sort((a, b) => a.at_ms - b.at_ms)) {
        const place = (event.at_ms - fromMs) / length;
        if (place < 0 || place > 1) continue;
        const last = out.at(-1);
        if (last && place - last[0] < apart) last[1].push(event);
        else out.push([place, [event]]);
    }
    for (const [, list] of out) list.sort((a, b) => rank(a.kind) - rank(b.kind));
    return out;
}

/** Round moments for an axis, some `most` of them at most. */
export function axisTicks(fromMs: number, toMs: number, most: number): number[] {
    return timeTicks(fromMs, toMs, tickStep(toMs - fromMs, most));
}
