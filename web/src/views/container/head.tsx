// Who it is, how it is doing in one sentence, and what it is made from.
import type { ComponentChildren } from "preact";
import type { Row } from "../../api/types.ts";
import { CopyButton } from "../../charts/copybutton.tsx";
import { StatePill } from "../../components/state.tsx";
import {
    bytes,
    bytesPerHour,
    clock,
    count,
    duration,
    moment,
    percent,
    UNKNOWN,
    visible,
} from "../../format.ts";
import { t } from "../../i18n/index.ts";
import { about, now } from "../../state/app.ts";
import { kills } from "../../sort.ts";
import { linkTo } from "../../state/url.ts";
import { defined } from "../tip.tsx";
import { adviceOf, whoseLimit, type Kill } from "./sentence.ts";

/** `row`: as of the span's end. `was`: it is gone, and was so when it was last seen. */
export interface HeadProps {
    row: Row | null;
    was: Row | null;
    key_: string;
    isWaiting: boolean; // nothing was told yet
    at: number | null; // of the past
    pid: number | null; // the largest process
    threads: number | null; // of all its processes
    kill: Kill | null; // the newest that is known
    neighbours: { before: Row | null; after: Row | null };
}

function Neighbour(props: {
    row: Row | null;
    testid: string;
    sign: string;
    text: string;
    shortcut: string;
}) {
    if (!props.row) return null;
    return (
        <a
            class="button"
            href={linkTo({ name: "container", key: props.row.key })}
            data-testid={props.testid}
            title={`${props.text} (${props.shortcut})`}
        >
            <span aria-hidden="true">{props.sign}</span>{" "}
            <bdi class="clip">{visible(props.row.name)}</bdi>
        </a>
    );
}

function Back() {
    return (
        <a
            class="button"
            href={linkTo({ name: "overview", key: "" })}
            data-testid="back"
            title={`${t("keys.leave")} (Esc)`}
        >
            <span aria-hidden="true">←</span> {t("container.back")}
        </a>
    );
}

function Neighbours({ before, after }: HeadProps["neighbours"]) {
    return (
        <nav class="neighbours" aria-label={t("container.paths")}>
            <Neighbour
                row={before}
                testid="previous"
                sign="‹"
                text={t("container.previous")}
                shortcut="k"
            />
            <Neighbour row={after} testid="next" sign="›" text={t("container.next")} shortcut="j" />
        </nav>
    );
}

const BEFORE_KILL_MS = 10 * 60_000;
const AFTER_KILL_MS = 60_000;

/** The minutes before a kill, with the moment of the kill held. */
function BeforeKill(props: { at: number }) {
    const { at } = props;
    const to = Math.min(at + AFTER_KILL_MS, now.peek());
    const from = Math.max(at - BEFORE_KILL_MS, Math.min(about.value?.oldest_ms ?? 0, at - AFTER_KILL_MS));
    const span = { from: String(Math.round(from)), to: String(Math.round(to)) };
    return (
        <a data-testid="before-kill" href={linkTo({ ...span, cursor: String(at) })}>
            {t("says.lookBefore", { time: clock(at) })}
        </a>
    );
}

function Advice(props: Pick<HeadProps, "pid" | "at" | "kill"> & { row: Row }) {
    const { text, next, command, lookAt } = adviceOf(
        props.row,
        props.pid,
        props.at,
        props.kill,
        now.value,
    );
    return (
        <p class="advice" data-testid="advice">
            {text}
            {next && <> {next}</>}
            {command && (
                <>
                    {" "}
                    <code>{visible(command)}</code>{" "}
                    <CopyButton text={() => command} label={t("container.copyCommand")}>
                        {t("container.copy")}
                    </CopyButton>
                </>
            )}
            {lookAt !== null && (
                <>
                    {" "}
                    <BeforeKill at={lookAt} />
                </>
            )}
        </p>
    );
}

function Figure(props: {
    label: string;
    metric?: string;
    exact?: number | null;
    children: ComponentChildren;
}) {
    return (
        <div class="big-figure" {...(props.metric ? defined(props.metric, props.exact) : {})}>
            <dt>{props.label}</dt>
            <dd>{props.children}</dd>
        </div>
    );
}

function shareText(value: number | null): string {
    if (value === null) return UNKNOWN;
    return value === 0 ? "0 %" : `${percent(value)} %`;
}

function Figures(props: { row: Row; threads: number | null }) {
    const { row } = props;
    return (
        <dl class="big-figures">
            <Figure label={t("container.used")} metric="used" exact={row.used}>
                {bytes(row.used)}{" "}
                <small>{t("container.ofLimit", { limit: bytes(row.limit) })}</small>
            </Figure>
            <Figure label={t("container.share")}>
                {shareText(row.used_pct)}
            </Figure>
            <Figure label={t("container.trend")}>{bytesPerHour(row.trend_bytes_per_h)}</Figure>
            <Figure label={t("container.fullIn")}>
                {row.time_to_limit_s === null ? "-" : duration(row.time_to_limit_s)}
            </Figure>
            <Figure label={t("container.stall")} metric="psi_some_avg10">
                {shareText(row.psi_some_avg10)}
            </Figure>
            <Figure
                label={t(
                    row.oom_kills_total === null
                        ? "container.killsSinceStart"
                        : "container.kills",
                )}
                metric="oom_kills"
            >
                {count(kills(row))}
            </Figure>
            <Figure label={t("container.restarts")}>{count(row.restarts)}</Figure>
            <Figure label={t("container.tasks")} metric="pids">
                {count(row.pids ?? props.threads)}
            </Figure>
        </dl>
    );
}

function Fact(props: { label: string; children: ComponentChildren }) {
    return (
        <div>
            <dt>{props.label}</dt>
            <dd>{props.children}</dd>
        </div>
    );
}

function limitText(row: Row): string {
    if (row.limit === null) return t("common.unknown");
    return t(row.limit_certain ? "container.limitText" : "container.limitAtMost", {
        limit: bytes(row.limit),
        whose: whoseLimit(row),
    });
}

/** Of an instance that began after the shown moment nothing is said. */
function Started(props: { startMs: number | null; at: number | null }) {
    const { startMs, at } = props;
    if (startMs === null || (at !== null && startMs > at)) return null;
    const age = duration(((at ?? now.value) - startMs) / 1000);
    return (
        <Fact label={t("container.started")}>
            {moment(startMs)}{" "}
            <span class="soft" data-testid="age">
                {t(at === null ? "container.ago" : "container.before", { age })}
            </span>
        </Fact>
    );
}

function Facts(props: { row: Row; at: number | null }) {
    const { row } = props;
    const id = row.id;
    return (
        <dl class="container-facts">
            <Fact label={t("container.runtime")}>
                {[row.runtime, row.kind].filter(Boolean).join(" ")}
            </Fact>
            {row.lang && <Fact label={t("container.lang")}>{visible(row.lang)}</Fact>}
            {row.image && <Fact label={t("container.image")}>{visible(row.image)}</Fact>}
            {id && (
                <Fact label={t("container.id")}>
                    <code title={id}>{id.slice(0, 12)}</code>{" "}
                    <CopyButton text={() => id} label={t("container.copyId")}>
                        {t("container.copy")}
                    </CopyButton>
                </Fact>
            )}
            {row.pod && (
                <Fact label={t("container.pod")}>
                    {visible([row.namespace, row.pod, row.container].filter(Boolean).join(" / "))}
                </Fact>
            )}
            {row.compose && <Fact label={t("container.compose")}>{visible(row.compose)}</Fact>}
            {row.unit && row.unit !== row.name && (
                <Fact label={t("container.unit")}>{visible(row.unit)}</Fact>
            )}
            <Fact label={t("container.limit")}>
                <span {...defined("limit", row.limit)}>{limitText(row)}</span>
            </Fact>
            {typeof row.guarded === "boolean" && (
                <Fact label={t("container.guard")}>
                    <span data-testid="guard">
                        {row.guarded ? t("container.guarded", { n: row.marks_passed ?? 0 }) : t("container.unguarded")}
                    </span>
                </Fact>
            )}
            <Started startMs={row.start_ms} at={props.at} />
            <Fact label={t("container.cgroup")}>
                <code>{visible(row.cgroup)}</code> <span class="soft">{row.version}</span>
            </Fact>
        </dl>
    );
}

export function Head(props: HeadProps) {
    const { row, was } = props;
    const shown = row ?? was;
    const seenAt = was?.ts ? Date.parse(was.ts) : props.at;
    return (
        <header class="container-head">
            <div class="title">
                <Back />
                <h1>
                    <bdi>{visible(shown?.name ?? props.key_)}</bdi>
                </h1>
                {row && <StatePill word={row.state} />}
                {!row && !props.isWaiting && (
                    <span class="state state-note">{t("container.gone")}</span>
                )}
                <Neighbours {...props.neighbours} />
            </div>
            {row && <Advice row={row} pid={props.pid} at={props.at} kill={props.kill} />}
            {!row && !props.isWaiting && (
                <p class="advice" data-testid="gone">
                    {was?.ts
                        ? t("container.goneSince", { moment: moment(Date.parse(was.ts)) })
                        : t("container.goneText")}
                </p>
            )}
            {row && <Figures row={row} threads={props.threads} />}
            {shown && <Facts row={shown} at={row ? props.at : seenAt} />}
        </header>
    );
}
