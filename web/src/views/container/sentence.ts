// What a state means for this target, with its own numbers, and what to do next.
import type { Event, Row } from "../../api/types.ts";
import { bytes, bytesPerHour, count, duration, percent, visible } from "../../format.ts";
import { t, type TextKey, type Values } from "../../i18n/index.ts";
import { hangText } from "../../components/event.tsx";
import { kills } from "../../sort.ts";

export interface Advice {
    text: string;
    next: string | null; // what to do
    command: string | null; // with which command
    lookAt: number | null; // the moment of a kill: what came before it is worth a look
}

/** The newest kill that is known: of the events, else of the row. */
export interface Kill {
    at: number;
    victim: string | null; // what was killed
}

/** Of events, newest first: the last kill until then. */
export function lastKill(events: readonly Event[], until: number): Kill | null {
    const found = events.find(({ kind, at_ms }) => kind === "oom" && at_ms <= until + 1000);
    return found ? { at: found.at_ms, victim: found.victim?.comm ?? null } : null;
}

/** A kill this long ago is still what there is to say of a target that looks well now. */
const RECENT_KILL_MS = 30 * 60_000;

/** A word of a shell. */
export function quoted(word: string): string {
    return /^[\w@%+=:,./-]+$/.test(word) && !word.startsWith("-")
        ? word
        : `'${word.replaceAll("'", "'\\''")}'`;
}

/** What `plimsoll` calls this target: a name that needs no quotes, else its id or path. */
export function targetWord(row: Pick<Row, "name" | "id" | "cgroup">): string {
    if (/^\w[\w@:./-]{0,79}$/.test(row.name)) return row.name;
    return row.id ? row.id.slice(0, 12) : quoted(row.cgroup);
}

/** "its own limit", "the machine's memory", "the limit of /parent". */
export function whoseLimit(row: Row): string {
    if (row.limit_from === null) return t("limit.unknown");
    if (row.limit_from === row.cgroup || (row.own_limit !== null && row.own_limit === row.limit))
        return t("limit.own");
    if (row.limit_from === "host") return t("limit.host");
    if (row.limit_from === "outside") return t("limit.outside");
    return t("limit.of", { path: visible(row.limit_from) });
}

function growth(row: Row): string {
    const rate = row.trend_bytes_per_h;
    if (row.trend !== "growing" || rate === null) return "";
    if (row.time_to_limit_s === null) return t("says.growth", { rate: bytesPerHour(rate) });
    return t("says.fullIn", { rate: bytesPerHour(rate), time: duration(row.time_to_limit_s) });
}

interface Sentence {
    text: TextKey;
    next?: TextKey;
    command?: (word: string, pid: number | null) => string | null;
    then?: (word: string, at: string) => string; // the same of the past
}

const who = {
    next: "says.whoHolds" as const,
    command: (word: string) => `plimsoll ps ${word} --pss`,
    then: (word: string, at: string) => `plimsoll ps ${word} --at ${at}`,
};

const SENTENCES: Readonly<Record<string, Sentence>> = {
    hung: {
        ...who,
        text: "says.hung",
        next: "says.hungNext",
        command: (word) => `plimsoll rescue ${word}`,
    },
    "at-limit": { ...who, text: "says.atLimit" },
    throttled: { ...who, text: "says.throttled" },
    thrashing: {
        text: "says.thrashing",
        next: "says.thrashingNext",
        command: (word) => `plimsoll free ${word}`,
    },
    stalled: { ...who, text: "says.stalled" },
    swapping: {
        text: "says.swapping",
        next: "says.swappingNext",
        command: (word) => `plimsoll ps ${word} --sort swap`,
    },
    high: { ...who, text: "says.high" },
    "cache-bound": { text: "says.cache" },
    growing: {
        text: "says.growing",
        next: "says.growingNext",
        command: (_, pid) => (pid === null ? null : `plimsoll map ${pid} --diff 60`),
    },
    shrinking: { text: "says.shrinking" },
    steady: { text: "says.steady" },
    "oom-killed": { text: "says.killedSometime" },
    ok: { text: "says.ok" },
};

function valuesOf(row: Row): Values {
    const free = row.usage === null || row.used === null ? null : row.usage - row.used;
    return {
        pct: row.used_pct === null ? "?" : percent(row.used_pct),
        used: bytes(row.used),
        usage: bytes(row.usage),
        whose: whoseLimit(row),
        limit: bytes(row.limit),
        high: bytes(row.high),
        free: bytes(free),
        swap: bytes(row.swap),
        rate: bytesPerHour(row.trend_bytes_per_h),
        window: duration(row.trend_window_s),
        full: row.psi_full_avg10 === null ? "?" : percent(row.psi_full_avg10),
        some: row.psi_some_avg10 === null ? "?" : percent(row.psi_some_avg10),
        refaults: row.refaults_per_s ?? "?",
    };
}

/** States that say that all is well, or nothing worse than a kill that was just now. */
const CALM = new Set<string>(["oom-killed", "shrinking", "steady", "ok", "cache-bound"]);

function killText(row: Row, kill: Kill, reference: number, isPast: boolean): string {
    const age = duration(Math.max(0, reference - kill.at) / 1000);
    const times = kills(row);
    return [
        t("says.killed", {
            what: kill.victim === null ? t("says.aTask") : visible(kill.victim),
            ago: t(isPast ? "container.before" : "container.ago", { age }),
            whose: whoseLimit(row),
            limit: bytes(row.limit),
        }),
        times !== null && times > 1 ? t("says.killedTimes", { n: count(times) }) : "",
        t("says.usedNow", valuesOf(row)),
    ]
        .filter((part) => part !== "")
        .join(t("says.space"));
}

/** The newest that is not after the shown moment and not long before it. */
function recentKill(row: Row, last: Kill | null, reference: number): Kill | null {
    const told = typeof row.oom_killed_ms === "number" ? row.oom_killed_ms : null;
    const found = last && last.at >= (told ?? 0) - 1000 ? last : told !== null ? { at: told, victim: null } : last;
    if (!found || found.at > reference + 1000 || reference - found.at > RECENT_KILL_MS) return null;
    return found;
}

/** What a guard saw of a hang: which, and since when. */
function hungText(row: Row, reference: number): string | null {
    if (row.state !== "hung" || !row.hang) return null;
    const age = typeof row.hung_ms === "number" ? duration(Math.max(0, reference - row.hung_ms) / 1000) : "?";
    return t("says.hungSeen", { whose: whoseLimit(row), limit: bytes(row.limit), age, hang: hangText(row.hang) });
}

/** `pid`: the largest process, whose mappings may grow. `at`: a moment of the past; of that only
 *  `plimsoll ps` knows anything. */
export function adviceOf(
    row: Row,
    pid: number | null,
    at: number | null,
    last: Kill | null = null,
    nowMs = Date.now(),
): Advice {
    const reference = at ?? nowMs;
    const kill = recentKill(row, last, reference);
    if (kill && (row.state === null || CALM.has(row.state)))
        return {
            text: killText(row, kill, reference, at !== null),
            next: t("says.killedNext"),
            command: null,
            lookAt: kill.at,
        };
    const found = SENTENCES[row.state ?? ""];
    const lookAt = kill?.at ?? null;
    if (!found) return { text: t("says.nothing"), next: null, command: null, lookAt };
    const isMoving = row.state !== "shrinking" && row.state !== "steady";
    const text = [hungText(row, reference) ?? t(found.text, valuesOf(row)), isMoving ? growth(row) : ""]
        .filter((part) => part !== "")
        .join(t("says.space"));
    const command =
        at === null
            ? found.command?.(targetWord(row), pid)
            : found.then?.(targetWord(row), new Date(at).toISOString());
    return command && found.next
        ? { text, next: t(found.next), command, lookAt }
        : { text, next: null, command: null, lookAt };
}
