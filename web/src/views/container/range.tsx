// Which span of time is shown: now, or any of the past.
import { useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { duration, moment } from "../../format.ts";
import { t } from "../../i18n/index.ts";
import { now } from "../../state/app.ts";
import {
    go,
    goLive,
    MIN_WINDOW_MS,
    shiftRange,
    view,
    zoomRange,
    type Range,
} from "../../state/url.ts";
import { zoneText } from "../../zone.ts";
import { inputText, inputTime } from "./inputtime.ts";

const PRESETS = [
    { span: "10m", ms: 600e3, key: "range.10m" },
    { span: "1h", ms: 3600e3, key: "range.1h" },
    { span: "2h", ms: 2 * 3600e3, key: "range.2h" },
    { span: "6h", ms: 6 * 3600e3, key: "range.6h" },
    { span: "24h", ms: 86400e3, key: "range.24h" },
    { span: "7d", ms: 7 * 86400e3, key: "range.7d" },
    { span: "30d", ms: 30 * 86400e3, key: "range.30d" },
] as const;

export function Presets(props: { range: Range }) {
    const { live, from_ms, to_ms } = props.range;
    return (
        <div class="presets" role="group" aria-label={t("range.last")}>
            <span class="soft">{t("range.last")}</span>
            {PRESETS.map(({ span, ms, key }) => (
                <button
                    key={span}
                    type="button"
                    data-testid={`preset-${span}`}
                    aria-pressed={live && Math.abs(to_ms - from_ms - ms) < 1000}
                    onClick={() => go({ from: `-${span}`, to: "now" })}
                >
                    {t(key)}
                </button>
            ))}
        </div>
    );
}

/** A field follows the shown span until somebody is in it; null is what nobody changed. */
function Field(props: {
    label: string;
    testid: string;
    shownMs: number;
    typed: Signal<string | null>;
}) {
    const { typed } = props;
    const shown = inputText(props.shownMs);
    const before = useRef(shown);
    return (
        <label>
            {props.label}{" "}
            <input
                type="datetime-local"
                step="1"
                required
                data-testid={props.testid}
                title={t("range.zone", { zone: zoneText(props.shownMs) })}
                value={typed.value ?? shown}
                onFocus={() => {
                    before.current = typed.value ?? shown;
                    typed.value = before.current;
                }}
                onBlur={(event) => {
                    if (event.currentTarget.value === before.current) typed.value = null;
                }}
                onInput={(event) => (typed.value = event.currentTarget.value)}
            />
        </label>
    );
}

function Free(props: { range: Range }) {
    const { from_ms, to_ms, live } = props.range;
    const from = useSignal<string | null>(null);
    const to = useSignal<string | null>(null);
    const wrong = useSignal(false);
    useEffect(() => {
        from.value = to.value = null;
        wrong.value = false;
    }, [view.value.from, view.value.to]);
    const apply = (event: Event): void => {
        event.preventDefault();
        const nowMs = now.peek();
        const begin = inputTime(from.value ?? inputText(from_ms));
        const end = to.value === null && live ? nowMs : inputTime(to.value ?? inputText(to_ms));
        wrong.value = begin === null || end === null || end - begin < MIN_WINDOW_MS;
        if (begin === null || end === null || wrong.value) return;
        if (end >= nowMs || (to.value === null && live))
            go({ from: `-${Math.round((nowMs - begin) / 1000)}s`, to: "now" });
        else go({ from: String(begin), to: String(end) });
    };
    return (
        <form class="free" onSubmit={apply}>
            <Field label={t("range.from")} testid="from" shownMs={from_ms} typed={from} />
            <Field label={t("range.to")} testid="to" shownMs={to_ms} typed={to} />
            <button type="submit" data-testid="apply-range">
                {t("range.apply")}
            </button>
            {wrong.value && (
                <span role="alert" class="wrong">
                    {t("range.wrong")}
                </span>
            )}
        </form>
    );
}

export function RangeBar(props: { range: Range }) {
    const { from_ms, to_ms, live } = props.range;
    return (
        <div
            class="range card"
            data-testid="range"
            data-from={Math.round(from_ms)}
            data-to={Math.round(to_ms)}
        >
            <Presets range={props.range} />
            <div class="moves" role="group" aria-label={t("range.move")}>
                <button
                    type="button"
                    aria-label={t("keys.backWindow")}
                    title={`${t("keys.backWindow")} ({)`}
                    onClick={() => shiftRange(-1, now.peek())}
                >
                    ◀
                </button>
                <button
                    type="button"
                    aria-label={t("keys.forwardWindow")}
                    title={`${t("keys.forwardWindow")} (})`}
                    disabled={live}
                    onClick={() => shiftRange(1, now.peek())}
                >
                    ▶
                </button>
                <button
                    type="button"
                    data-testid="zoom-out"
                    title={`${t("keys.zoomOut")} (-)`}
                    onClick={() => zoomRange(2, now.peek())}
                >
                    {t("range.zoomOut")}
                </button>
                {!live && (
                    <button type="button" class="primary" data-testid="range-live" onClick={goLive}>
                        {t("link.toLive")}
                    </button>
                )}
            </div>
            <p class="soft range-text">
                {live
                    ? t("range.liveText", { span: duration((to_ms - from_ms) / 1000) })
                    : t("range.pastText", {
                          from: moment(from_ms),
                          to: moment(to_ms),
                          span: duration((to_ms - from_ms) / 1000),
                      })}
            </p>
            <Free range={props.range} />
        </div>
    );
}
