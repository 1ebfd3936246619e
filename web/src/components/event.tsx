// Events in words, with a shape for each kind: an OOM kill, a restart, a changed limit, and whatever
// the agent tells that this page does not know by name.
import type { Event } from "../api/types.ts";
import { bytes, visible } from "../format.ts";
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
