// What is shown, kept in the address: #/?q=..., #/c/KEY?from=..., #/timeline?... Reload, bookmark and
// "open in a new tab" give the same view.
import { computed, signal } from "@preact/signals";

export type ViewName = "overview" | "container" | "timeline";
export type Theme = "auto" | "dark" | "light";

export interface View {
    name: ViewName;
    key: string; // of the container
    q: string; // filter
    sort: string;
    desc: boolean;
    group: string; // "", "pod", "compose", "slice"
    hidden: string; // kinds of events that are not shown: "start,end"
    from: string; // "-1h", or ms since 1970; "": the usual window
    to: string; // "now", "-10m", or ms
    cursor: string; // of a container: the pinned moment in ms, "": none
    procs: string; // of a container: the order of its processes, "pss" or "pid-asc"
    theme: Theme;
    lang: string; // "": the browser's
}

export const DEFAULT_VIEW: Readonly<View> = {
    name: "overview",
    key: "",
    q: "",
    sort: "state",
    desc: true,
    group: "",
    hidden: "",
    from: "",
    to: "now",
    cursor: "",
    procs: "",
    theme: "auto",
    lang: "",
};

const UNIT_MS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };
export const MIN_WINDOW_MS = 10e3;
export const MAX_WINDOW_MS = 366 * 86400e3;

/** "-90s", "-2h", "now", "1789...": ms since 1970; null: not a time. */
export function parseTime(text: string, nowMs: number): number | null {
    if (text === "now") return nowMs;
    const relative = /^-(\d+(?:\.\d+)?)([smhd])$/.exec(text);
    if (relative) return nowMs - Number(relative[1]) * (UNIT_MS[relative[2] ?? ""] ?? NaN);
    return /^\d{12,14}$/.test(text) ? Number(text) : null;
}

/** The shortest way to write a span: 5400000 is "90m". */
export function spanText(ms: number): string {
    for (const unit of ["d", "h", "m"]) {
        const size = UNIT_MS[unit] ?? 1;
        if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
    }
    return `${Math.max(1, Math.round(ms / 1000))}s`;
}

const USUAL_WINDOWS_MS = [1, 2, 5, 10, 15, 30, 60, 120].map((minutes) => minutes * 60e3);

/** Two hours, but not more than there is: a picture that is empty but for its end says nothing. */
export function usualWindow(historyMs: number): number {
    return USUAL_WINDOWS_MS.find((ms) => ms >= historyMs) ?? Math.max(...USUAL_WINDOWS_MS);
}

/** The window where the address says nothing; state/app.ts keeps it by the age of the history. */
export const usualMs = signal(usualWindow(Infinity));

/** False until the agent has told how old its history is, or cannot: a view that loads before would
 * load another window than it shows. */
export const isSettled = signal(false);

export interface Range {
    from_ms: number;
    to_ms: number;
    live: boolean; // it ends now, and moves
}

export function rangeOf(view: Pick<View, "from" | "to">, nowMs: number): Range {
    const to = parseTime(view.to, nowMs) ?? nowMs;
    const live = view.to === "now";
    // A relative beginning counts from the end: "-1h" before whatever is shown last.
    let from = parseTime(view.from, to) ?? to - usualMs.value;
    if (to - from < MIN_WINDOW_MS) from = to - MIN_WINDOW_MS;
    if (to - from > MAX_WINDOW_MS) from = to - MAX_WINDOW_MS;
    return { from_ms: Math.round(from), to_ms: Math.round(to), live };
}

/** What is another window: the usual one is, when it has grown. */
export function windowKey(view: Pick<View, "from" | "to">): string {
    return `${view.from || usualMs.value} ${view.to}`;
}

export function parseHash(hash: string): View {
    const [path = "", query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
    const params = new URLSearchParams(query);
    const text = (key: string, otherwise = ""): string => params.get(key) ?? otherwise;
    const view: View = {
        ...DEFAULT_VIEW,
        q: text("q"),
        sort: text("sort", DEFAULT_VIEW.sort),
        desc: params.has("asc") ? false : DEFAULT_VIEW.desc,
        group: text("group"),
        hidden: text("hide"),
        from: text("from", DEFAULT_VIEW.from),
        to: text("to", DEFAULT_VIEW.to),
        lang: text("lang"),
    };
    const theme = params.get("theme");
    if (theme === "dark" || theme === "light") view.theme = theme;
    if (path.startsWith("/c/")) {
        view.name = "container";
        view.cursor = text("cursor");
        view.procs = text("procs");
        try {
            view.key = decodeURIComponent(path.slice(3));
        } catch {
            view.key = path.slice(3);
        }
    } else if (path === "/timeline") {
        view.name = "timeline";
    }
    return view;
}

export function hashOf(view: View): string {
    const params = new URLSearchParams();
    for (const key of ["q", "sort", "group", "from", "to", "theme", "lang"] as const)
        if (view[key] !== DEFAULT_VIEW[key]) params.set(key, view[key]);
    if (!view.desc) params.set("asc", "1");
    if (view.hidden) params.set("hide", view.hidden);
    if (view.name === "container")
        for (const key of ["cursor", "procs"] as const) if (view[key]) params.set(key, view[key]);
    const path =
        view.name === "container" ? `/c/${encodeURIComponent(view.key)}` : view.name === "timeline" ? "/timeline" : "/";
    const query = params.toString();
    return `#${path}${query ? `?${query}` : ""}`;
}

const HASH = (): string => globalThis.location?.hash ?? "";

export const view = signal<View>(parseHash(HASH()));

/** Null: now. Else the moment that is shown. */
export const shownAt = computed<number | null>(() =>
    view.value.to === "now" ? null : parseTime(view.value.to, Date.now()),
);

/** `replace`: no step for the back button: for what is typed or dragged. */
export function go(change: Partial<View>, replace = false): void {
    const next = { ...view.value, ...change };
    if (next.name !== "container") next.cursor = next.procs = "";
    const hash = hashOf(next);
    view.value = next;
    if (hash === HASH() || (hash === "#/" && HASH() === "")) return;
    if (replace) history.replaceState(null, "", hash);
    else history.pushState(null, "", hash);
}

/** A link to a view, for <a href>. */
export function linkTo(change: Partial<View>): string {
    return hashOf({ ...view.value, ...change });
}

export function followAddress(): void {
    const read = (): void => {
        view.value = parseHash(HASH());
    };
    addEventListener("popstate", read);
    addEventListener("hashchange", read);
}

/** Moves the shown window by a part of its length; one that would end in the future is live. */
export function shiftRange(part: number, nowMs: number): void {
    const range = rangeOf(view.value, nowMs);
    const length = range.to_ms - range.from_ms;
    const to = range.to_ms + Math.round(length * part);
    if (to >= nowMs) goLive();
    else go({ from: `-${spanText(length)}`, to: String(to) }, true);
}

/** Zooms around the end while it is live, else around the middle. */
export function zoomRange(factor: number, nowMs: number): void {
    const range = rangeOf(view.value, nowMs);
    const length = range.to_ms - range.from_ms;
    const next = Math.min(Math.max(Math.round((length * factor) / 1000) * 1000, MIN_WINDOW_MS), MAX_WINDOW_MS);
    if (range.live) go({ from: `-${spanText(next)}` }, true);
    else {
        const to = Math.min(nowMs, range.to_ms + Math.round((next - length) / 2));
        go({ from: `-${spanText(next)}`, to: String(to) }, true);
    }
}

export function goLive(): void {
    go({ to: "now" }, true);
}
