// What the whole page shares beside the rows: the agent's words about itself, the connection, the
// clock, theme and language.
import { batch, computed, effect, signal } from "@preact/signals";
import { ApiError, apiPath, get, tokenWanted } from "../api/client.ts";
import { canShare, connect, type Connection } from "../api/share.ts";
import type { Link } from "../api/stream.ts";
import type { About, Event, Health, Snapshot, Targets, Tick } from "../api/types.ts";
import { setLanguage } from "../i18n/index.ts";
import { Table, liveAt, liveRows, pastRows } from "./rows.ts";
import { go, goLive, isSettled, parseTime, shownAt, usualMs, usualWindow, view, type Theme } from "./url.ts";

export const about = signal<About | null>(null);
/** Of the agent that this page came from: another one since may want another page. */
export const firstVersion = signal<string | null>(null);

export const health = signal<Health | null>(null);
export const link = signal<{ state: Link; error: string | null; since: number }>({
    state: "connecting",
    error: null,
    since: Date.now(),
});

/** The newest kills that the stream told, newest first, for whoever draws marks at once. */
export const freshEvents = signal<readonly Event[]>([]);

/** Whose view is shown, by its name: of what is gone too, which no list has. */
export const shownName = signal<string | null>(null);

/** Why rows of the past cannot be shown. */
export const pastError = signal<string | null>(null);

/** Ticks once a second: for ages and windows that end now. The agent's clock, not the browser's. */
export const now = signal(Date.now());
let clockOffset = 0;

/** What watching costs: percent of one core over the last checks, and memory. */
export const cost = signal<{ cpu_pct: number | null; rss: number | null }>({ cpu_pct: null, rss: null });

export const isLive = computed(() => shownAt.value === null);

/** How long nothing has come though the connection stands; null: that is as usual. */
export const quietMs = computed<number | null>(() => {
    const at = liveAt.value;
    const interval = about.value?.interval_ms;
    if (link.value.state !== "live" || at === null || interval === undefined) return null;
    const age = now.value - at;
    return age > 3 * interval + 2000 ? age : null;
});

const table = new Table();
let stream: Connection | null = null;
let flushWanted = false;

/** Many events in one frame are one rendering. */
function flushSoon(): void {
    if (flushWanted) return;
    flushWanted = true;
    const flush = (): void => {
        if (!flushWanted) return;
        flushWanted = false;
        liveRows.value = table.rows();
    };
    requestAnimationFrame(flush);
    setTimeout(flush, 500); // a hidden tab has no frames
}

/** What lies between events of a guard: the list of incidents has it. */
const STEPS: readonly string[] = ["begin", "mark", "guarded"];

function onEvent(name: string, data: unknown): void {
    if (name === "snapshot") table.snapshot(data as Snapshot);
    else if (name === "tick") {
        if (!table.tick(data as Tick)) reconnect();
    } else if (STEPS.includes((data as Event).kind)) {
        return;
    } else {
        freshEvents.value = [data as Event, ...freshEvents.value].slice(0, 100);
        return;
    }
    liveAt.value = (data as Snapshot).at_ms;
    // The agent's clock is not behind its own looks, whatever this computer's does.
    clockOffset = Math.max(clockOffset, (data as Snapshot).at_ms - Date.now());
    flushSoon();
}

function onLink(state: Link, error?: string): void {
    const before = link.value;
    // It may be another agent that answers now.
    if (state === "live" && (before.state === "lost" || before.state === "refused")) void loadAbout();
    // Connected is what has told something: an open socket alone says nothing.
    link.value = {
        state,
        error: error ?? (state === "connecting" ? before.error : null),
        since: before.state === state ? before.since : Date.now(),
    };
}

export function reconnect(): void {
    stream?.close();
    stream = connect("api/v1/stream", {
        event: (name, data) => {
            if (link.value.state !== "live") onLink("live");
            onEvent(name, data);
        },
        link: onLink,
        whole: () => (liveAt.peek() === null ? null : { at_ms: liveAt.peek() ?? 0, targets: table.rows() }),
    });
    void loadAbout();
}

async function loadAbout(): Promise<void> {
    try {
        const answer = await get<About>("api/v1/about");
        clockOffset = answer.now_ms - Date.now();
        batch(() => {
            firstVersion.value ??= answer.version;
            now.value = answer.now_ms;
            about.value = answer;
        });
    } catch {
        // The stream's link tells that nobody answers; it is asked again with the next one.
    }
    isSettled.value = true; // usualMs follows `about` at once
}

const HIDDEN_MS = 30_000;

let lastCost: { at: number; cpu: number } | null = null;

function takeCost(h: Health): void {
    const cpu = (h.collector.cpu_us ?? 0) + (h.front?.cpu_us ?? 0);
    const rss = h.collector.rss === null ? null : h.collector.rss + (h.front?.rss ?? 0);
    const at = performance.now();
    let cpu_pct = cost.value.cpu_pct;
    if (lastCost && cpu >= lastCost.cpu && at > lastCost.at)
        cpu_pct = (cpu - lastCost.cpu) / 10 / (at - lastCost.at);
    lastCost = { at, cpu };
    cost.value = { cpu_pct, rss };
}

async function loadHealth(): Promise<void> {
    if (document.hidden || tokenWanted.value) return;
    try {
        health.value = await get<Health>("healthz", { any: true });
        takeCost(health.value);
    } catch {
        // as above
    }
}

let pastAbort: AbortController | null = null;

async function loadPast(at: number): Promise<void> {
    pastAbort?.abort();
    pastAbort = new AbortController();
    try {
        const answer = await get<Targets>(apiPath("api/v1/targets", { at }), { signal: pastAbort.signal });
        pastRows.value = answer.targets;
        pastError.value = null;
    } catch (error) {
        if (error instanceof DOMException && error.name === "AbortError") return;
        pastRows.value = [];
        pastError.value = error instanceof ApiError ? error.message : String(error);
    }
}

/** Space: holds the moment, and lets it go. */
export function togglePause(): void {
    if (shownAt.value === null) go({ to: String(liveAt.value ?? now.value) }, true);
    else goLive();
}

/** This browser's usual choice; the address wins. */
function kept(name: "theme" | "lang"): string | null {
    try {
        return localStorage.getItem(`plimsoll-${name}`);
    } catch {
        return null; // switched off by the browser's settings
    }
}

function keep(name: "theme" | "lang", value: string): void {
    try {
        localStorage.setItem(`plimsoll-${name}`, value);
    } catch {
        // then it is for this view only
    }
}

export function chosenTheme(): Theme {
    const theme = view.value.theme === "auto" ? kept("theme") : view.value.theme;
    return theme === "dark" || theme === "light" ? theme : "auto";
}

export function setTheme(theme: Theme): void {
    keep("theme", theme);
    go({ theme }, true);
    showTheme();
}

export function chooseLanguage(lang: string): void {
    keep("lang", lang);
    go({ lang }, true);
}

function showTheme(): void {
    const theme = chosenTheme();
    if (theme === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = theme;
}

export function start(): void {
    if (!document.hidden || canShare()) reconnect();
    else void loadAbout();
    void loadHealth();
    setInterval(() => (now.value = Date.now() + clockOffset), 1000);
    setTimeout(() => void loadHealth(), 3_000); // two looks make a share of a core
    setInterval(() => void loadHealth(), 10_000);
    // A tab that nobody looks at costs nobody anything; it catches up when it is looked at again.
    // Another that is looked at goes on with the stream that this one has read.
    const leave = (): void => {
        stream?.close();
        stream = null;
    };
    let hiddenTimer: ReturnType<typeof setTimeout> | undefined;
    document.addEventListener("visibilitychange", () => {
        clearTimeout(hiddenTimer);
        if (document.hidden) hiddenTimer = setTimeout(leave, canShare() ? HIDDEN_MS : 0);
        else if (!stream) reconnect();
        else stream.hurry();
    });
    addEventListener("pagehide", leave);
    addEventListener("pageshow", () => {
        if (!stream && !document.hidden) reconnect();
    });
    addEventListener("online", () => stream?.hurry());
    effect(() => {
        if (!tokenWanted.value && link.peek().state === "refused") {
            reconnect();
            void loadHealth();
        }
    });
    // A moment that was written as "-30s" stays what it is on arrival, by the agent's clock.
    effect(() => {
        const { to } = view.value;
        if (!isSettled.value || !to.startsWith("-")) return;
        const at = parseTime(to, Date.now() + clockOffset);
        if (at !== null) go({ to: String(Math.round(at)) }, true);
    });
    effect(() => {
        const at = shownAt.value;
        if (at !== null && !/^\d/.test(view.value.to)) return; // about to be fixed
        if (at === null) {
            pastAbort?.abort();
            pastRows.value = null;
            pastError.value = null;
        } else void loadPast(at);
    });
    effect(() => {
        const age = now.value - (about.value?.oldest_ms ?? -Infinity);
        usualMs.value = usualWindow(age); // the same number is no change
    });
    effect(showTheme);
    effect(() => setLanguage(view.value.lang || kept("lang") || ""));
}
