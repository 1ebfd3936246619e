import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { loadEvents } from "../src/api/events.ts";
import type { Event } from "../src/api/types.ts";

const realFetch = globalThis.fetch;
afterEach(() => {
    globalThis.fetch = realFetch;
});

const event = (kind: string, at_ms: number): Event => ({ kind, at_ms, key: "docker:a", name: "a", series: 1 });

function serve(all: readonly Event[], most: number): string[][] {
    const asked: string[][] = [];
    globalThis.fetch = async (path) => {
        const kinds = new URL(String(path), "http://x/").searchParams.getAll("kind");
        asked.push(kinds);
        const wanted = all.filter(({ kind }) => kinds.length === 0 || kinds.includes(kind));
        const cut = wanted.length > most;
        return new Response(JSON.stringify({ events: wanted.slice(0, most), cut, from_ms: cut ? 1 : null }));
    };
    return asked;
}

const ALL = [event("start", 9), event("end", 8), event("gc", 7), event("start", 6), event("oom", 5)];

test("one request when everything fits", async () => {
    const asked = serve(ALL, 10);
    const { events, cut } = await loadEvents({}, new Set(["start"]), new AbortController().signal);
    assert.equal(events.length, 5);
    assert.equal(cut, false);
    assert.deepEqual(asked, [[]]);
});

test("kinds that are hidden take no place from those that are shown, but are counted", async () => {
    const asked = serve(ALL, 3);
    const { events, cut } = await loadEvents({}, new Set(["start", "end"]), new AbortController().signal);
    assert.deepEqual(asked[1], ["oom", "hang", "guard", "gc", "restart", "limit"]);
    assert.deepEqual(events.map(({ kind, at_ms }) => `${kind} ${at_ms}`), ["start 9", "end 8", "gc 7", "oom 5"]);
    assert.equal(cut, false);
});
