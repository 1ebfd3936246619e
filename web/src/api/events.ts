// What happened, as /api/v1/events tells it.
import { apiPath, get, type Params } from "./client.ts";
import type { Event } from "./types.ts";

export interface EventList {
    events: readonly Event[]; // newest first
    cut: boolean; // there were more; kills, restarts and limits are kept before starts and ends
    from_ms: number | null; // when it is cut: nothing is missing since then
}

/** What every agent knows; others are asked for only when it has told of them. */
const KINDS = ["oom", "hang", "guard", "gc", "restart", "limit", "start", "end"];

/** Kinds that are not shown are asked for too, since they are counted; but when there is more than one
 * answer holds they take no place from those that are. */
export async function loadEvents(
    params: Params,
    hidden: ReadonlySet<string>,
    signal: AbortSignal,
): Promise<EventList> {
    const ask = (kind?: string[]): Promise<EventList> =>
        get<EventList>(apiPath("api/v1/events", { ...params, kind }), { signal });
    const all = await ask();
    if (!all.cut || hidden.size === 0) return all;
    const told = new Set([...KINDS, ...all.events.map((event) => event.kind)]);
    const kinds = [...told].filter((kind) => !hidden.has(kind));
    if (kinds.length === 0) return all;
    const shown = await ask(kinds);
    const counted = all.events.filter((event) => hidden.has(event.kind));
    return { ...shown, events: [...shown.events, ...counted].sort((a, b) => b.at_ms - a.at_ms) };
}
