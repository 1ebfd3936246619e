// Which events are drawn where: pure.
import type { Event } from "../../api/types.ts";
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
    const counts = new Map<string, number>(["oom", "restart", "limit", "start", "end"].map((kind) => [kind, 0]));
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

const NICE_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000];

/** Round moments for an axis, at most `most` of them. Days begin at local midnight. */
export function axisTicks(fromMs: number, toMs: number, most: number): number[] {
    const stepMs = 1000 * (NICE_S.find((s) => (toMs - fromMs) / 1000 / s <= most) ?? 31536000);
    const shift = new Date(fromMs).getTimezoneOffset() * 60e3;
    const ticks: number[] = [];
    for (let at = Math.ceil((fromMs - shift) / stepMs) * stepMs + shift; at <= toMs; at += stepMs) ticks.push(at);
    return ticks;
}
