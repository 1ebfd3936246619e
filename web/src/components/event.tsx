// Events in words, with a shape for each kind: an OOM kill, a restart, a changed limit, and whatever
// the agent tells that this page does not know by name.
import type { Event } from "../api/types.ts";
import { bytes, duration, visible } from "../format.ts";
import { t, tMaybe } from "../i18n/index.ts";
import type { Severity } from "./state.tsx";

interface Look {
    symbol: string;
    severity: Severity;
}

const LOOKS: Readonly<Record<string, Look>> = {
    oom: { symbol: "✖", severity: "bad" },
    hang: { symbol: "■", severity: "bad" },
    alert: { symbol: "▲", severity: "warn" },
    restart: { symbol: "↻", severity: "warn" },
    guard: { symbol: "◆", severity: "note" },
    gc: { symbol: "♻", severity: "note" },
    limit: { symbol: "↕", severity: "note" },
    start: { symbol: "▶", severity: "good" },
    end: { symbol: "◼", severity: "none" },
};
const OTHER: Look = { symbol: "•", severity: "note" };

/** The kinds that are known, the gravest first; others come after them. */
export const EVENT_KINDS = Object.keys(LOOKS);

export function lookOf(kind: string): Look {
    return LOOKS[kind] ?? OTHER;
}

export function kindName(kind: string): string {
    return tMaybe(`event.${kind}`, kind);
}

/** "oom-wait": its tasks wait ...; a kind that is not known is told by its name. */
export function hangText(hang: string | null | undefined): string {
    return hang ? tMaybe(`hang.${hang}`, hang) : t("hang.unknown");
}

function hangEvent(event: Event): string {
    const lasted = duration(typeof event.hang_for_ms === "number" ? event.hang_for_ms / 1000 : null);
    return event.up === false
        ? t("event.hangOver", { hang: hangText(event.hang), lasted })
        : t("event.hangs", { hang: hangText(event.hang) });
}

/** "reclaim: done, 243 MiB -> 120 MiB in 2 s": what a guard did and what came of it. */
function guardText(event: Event): string {
    const action = tMaybe(`action.${event.action ?? ""}`, event.action ?? kindName(event.kind));
    if (event.record === "undo") return t("event.letGo", { action });
    const { before, after, took_ms: took } = event;
    const acted = event.outcome !== "dry-run" && event.outcome !== "refused";
    const measured = acted && typeof before === "number" && typeof after === "number";
    return [
        t("event.actionOutcome", {
            action,
            outcome: tMaybe(`outcome.${event.outcome ?? "none"}`, event.outcome ?? "?"),
        }),
        measured ? t("event.beforeAfter", { before: bytes(before), after: bytes(after) }) : "",
        acted && typeof took === "number"
            ? t("event.took", { time: took < 1000 ? `${Math.max(1, Math.round(took))} ms` : duration(took / 1000) })
            : "",
        event.text ? visible(event.text) : "",
        event.next ? t("event.next", { next: visible(event.next) }) : "",
        event.file ? t("event.file", { file: visible(event.file) }) : "",
    ]
        .filter((part) => part !== "")
        .join(t("event.comma"));
}

function oomText(event: Event): string {
    const { victim, kills = 1 } = event;
    const who = victim
        ? t("event.victim", { comm: visible(victim.comm ?? "?"), pid: victim.pid, anon: bytes(victim.anon) })
        : t(kills === 1 ? "event.task" : "event.tasks", { n: kills });
    const where = event.outside ? t("event.outside") : t("event.own");
    return t(event.sure === false ? "event.killedPerhaps" : "event.killed", { who, where });
}

/** What happened, as a sentence without the target's name. */
export function eventText(event: Event): string {
    switch (event.kind) {
        case "oom":
            return oomText(event);
        case "restart":
            return t("event.restarted", { n: event.restarts ?? "?" });
        case "start":
            return t("event.started");
        case "end":
            return t("event.ended");
        case "limit":
            return t("event.limitChanged", { from: limitText(event.from), to: limitText(event.to) });
        case "hang":
            return hangEvent(event);
        case "gc":
        case "guard":
            if (event.action || event.record) return guardText(event);
            return event.text ? visible(event.text) : kindName(event.kind);
        default:
            return event.text ? visible(event.text) : kindName(event.kind);
    }
}

function limitText(value: number | null | undefined): string {
    return value === null || value === undefined ? t("event.noLimit") : bytes(value);
}

export function EventSymbol(props: { kind: string }) {
    const { symbol, severity } = lookOf(props.kind);
    return (
        <span class={`event-symbol event-${severity}`} aria-hidden="true">
            {symbol}
        </span>
    );
}
