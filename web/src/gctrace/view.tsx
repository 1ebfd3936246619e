// The page: what the program is, a row of figures, three charts.
import { useSignal } from "@preact/signals";
import { setToken } from "../api/client.ts";
import type { Link } from "../api/stream.ts";
import { BYTE_STEPS } from "../charts/axis.ts";
import { bytes, bytesPerHour, count, visible } from "../format.ts";
import { Chart, type Line } from "./chart.tsx";
import { column, forcedAt, isKnown, nanos, type State, type Summary } from "./state.ts";
import { chinese, t, type TextKey } from "./text.ts";

function line(state: State, name: Parameters<typeof column>[1], label: TextKey, colour: string): Line {
    return { name, label: t(label), colour, values: column(state.points, name) };
}

function heapLines(state: State): Line[] {
    const lines = [
        line(state, "live", "liveHeap", "--part-anon"),
        { ...line(state, "goal", "goal", "--mark-limit"), dash: [6, 4] },
        { ...line(state, "heap_start", "start", "--part-other"), dash: [2, 3] },
        line(state, "heap_end", "end", "--part-shmem"),
        line(state, "sys", "sys", "--part-kernel"),
        { ...line(state, "released", "released", "--part-active"), dash: [8, 3, 2, 3] },
    ];
    return lines.filter((one) => isKnown(one.values));
}

function Figure({ id, label, value }: { id: string; label: TextKey; value: string }) {
    return (
        <div class="figure" data-testid={`figure-${id}`}>
            <span class="label">{t(label)}</span> <b class="value">{value}</b>
        </div>
    );
}

function Figures({ sum }: { sum: Summary }) {
    const pauses = [sum.pause_p50_ns, sum.pause_p95_ns, sum.pause_max_ns].map(nanos).join(" / ");
    const share = sum.gc_cpu_pct === null ? "-" : `${sum.gc_cpu_pct}%`; // the runtime's own whole number
    return (
        <div class="host">
            <Figure id="collections" label="collections" value={count(sum.collections)} />
            <Figure id="forced" label="forced" value={count(sum.forced + sum.periodic)} />
            <Figure id="pauses" label="pauses" value={pauses} />
            <Figure id="share" label="share" value={share} />
            <Figure id="live" label="liveHeap" value={bytes(sum.live)} />
            <Figure id="goal" label="goal" value={bytes(sum.goal)} />
            <Figure
                id="trend"
                label="trend"
                value={
                    sum.programs > 1
                        ? t("several", { n: sum.programs })
                        : t(sum.live_trend, { rate: bytesPerHour(sum.live_bytes_per_h) })
                }
            />
        </div>
    );
}

function Charts({ state }: { state: State }) {
    const at = column(state.points, "at_ms").map((ms) => (ms ?? 0) / 1000);
    const marks = forcedAt(state.points);
    const share = (value: number): string => `${Number(value.toFixed(2))}%`;
    return (
        <>
            <Chart id="heap" title={t("heapChart")} at={at} marks={marks} format={bytes} steps={BYTE_STEPS} lines={heapLines(state)} />
            <Chart
                id="pauses"
                title={t("pauseChart")}
                at={at}
                marks={marks}
                format={nanos}
                lines={[{ ...line(state, "pause_ns", "pause", "--mark-alert"), dots: true }]}
            />
            <Chart id="share" title={t("shareChart")} at={at} marks={marks} format={share} lines={[line(state, "gc_cpu_pct", "share", "--part-kernel")]} />
            <p class="soft">
                {t("since")}. {marks.length > 0 ? t("mark") : ""}{" "}
                {state.per_point > 1 ? <span data-testid="grouped">{t("grouped", { n: state.per_point })}</span> : null}
            </p>
        </>
    );
}

function TokenForm({ retry }: { retry: () => void }) {
    const value = useSignal("");
    const send = (event: Event): void => {
        event.preventDefault();
        setToken(value.value.trim());
        retry();
    };
    return (
        <form class="card" onSubmit={send}>
            <h2>{t("token")}</h2>
            <label>
                {t("tokenLabel")}{" "}
                <input
                    type="password"
                    autocomplete="off"
                    data-testid="token"
                    onInput={(event) => (value.value = event.currentTarget.value)}
                />
            </label>{" "}
            <button type="submit">{t("send")}</button>
        </form>
    );
}

function Top({ state, link }: { state: State | null; link: Link }) {
    const ended = state?.state === "ended";
    const word = ended ? t("ended", { code: state.code ?? "-" }) : t(link);
    const command = state ? state.command.map(visible).join(" ") || t("stdin") : "";
    return (
        <header class="top">
            <span class="brand">
                <span class="mark" aria-hidden="true" />
                <h1>{t("title")}</h1>
            </span>
            <bdi class="command" data-testid="command" title={command}>
                {command}
            </bdi>
            <span class={`link link-${ended ? "ended" : link}`} role="status" data-testid="link" data-state={ended ? "ended" : link}>
                <span class="dot" aria-hidden="true" />
                {word}
            </span>
            <button type="button" class="plain" lang={chinese.value ? "en" : "zh"} data-testid="language" onClick={() => (chinese.value = !chinese.value)}>
                {t("language")}
            </button>
        </header>
    );
}

export interface PageProps {
    state: State | null;
    link: Link;
    wantsToken: boolean;
    retry: () => void;
}

export function Page({ state, link, wantsToken, retry }: PageProps) {
    const seen = state !== null && state.points.length > 0;
    return (
        <>
            <Top state={state} link={link} />
            {seen ? <Figures sum={state.summary} /> : null}
            <main>
                {wantsToken ? <TokenForm retry={retry} /> : null}
                {state?.state === "ended" ? <p class="soft">{t("endedHint")}</p> : null}
                {seen ? <Charts state={state} /> : state ? <p data-testid="nothing">{t("nothing")}</p> : null}
            </main>
        </>
    );
}
