// A state as a word with a shape: never a colour alone.
import type { StateWord } from "../api/types.ts";
import { t, tMaybe } from "../i18n/index.ts";
import { about } from "../state/app.ts";
import "./state.css";

export type Severity = "none" | "good" | "note" | "warn" | "bad";

/** From good to bad, as src/model/state.h has them. */
export const STATE_WORDS: readonly StateWord[] = [
    "-",
    "ok",
    "steady",
    "shrinking",
    "growing",
    "cache-bound",
    "high",
    "swapping",
    "stalled",
    "thrashing",
    "throttled",
    "oom-killed",
    "at-limit",
    "hung",
];

const SEVERITY: Readonly<Record<StateWord, Severity>> = {
    "-": "none",
    ok: "good",
    steady: "good",
    shrinking: "good",
    growing: "note",
    "cache-bound": "note",
    high: "warn",
    swapping: "warn",
    stalled: "warn",
    thrashing: "bad",
    throttled: "bad",
    "oom-killed": "bad",
    "at-limit": "bad",
    hung: "bad",
};

const SHAPE: Readonly<Record<Severity, string>> = { none: "·", good: "●", note: "◆", warn: "▲", bad: "■" };

/** Higher is worse; what is not known is below all. */
export function badness(word: StateWord | null): number {
    return word === null ? 0 : Math.max(0, STATE_WORDS.indexOf(word));
}

export function severityOf(word: StateWord | null): Severity {
    return SEVERITY[word ?? "-"] ?? "none";
}

/** One sentence: what the word means, with the agent's own thresholds. */
export function stateHelp(word: StateWord | null): string {
    const marks = about.value?.marks ?? { high_pct: 70, alert_pct: 90 };
    return t(`stateHelp.${word ?? "-"}`, { high: marks.high_pct, alert: marks.alert_pct });
}

export function StatePill(props: { word: StateWord | null }) {
    const severity = severityOf(props.word);
    const word = props.word ?? "-";
    return (
        <span class={`state state-${severity}`} data-testid="state" data-state={word} title={stateHelp(props.word)}>
            <span aria-hidden="true">{SHAPE[severity]}</span> {tMaybe(`state.${word}`, word)}
        </span>
    );
}
