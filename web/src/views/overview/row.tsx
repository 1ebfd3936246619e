// One line of the list. A row is never changed in place: what is the same object looks the same.
import { Component, type ComponentChildren } from "preact";
import type { Row } from "../../api/types.ts";
import { RowBar } from "../../components/limitbar.tsx";
import { Sparkline } from "../../components/sparkline.tsx";
import { StatePill } from "../../components/state.tsx";
import {
    UNKNOWN,
    bytes,
    bytesPerHour,
    count,
    duration,
    exactBytes,
    percent,
    visible,
} from "../../format.ts";
import { isLimitAbove, isUnlimited } from "../../group.ts";
import { language, t } from "../../i18n/index.ts";
import { kills } from "../../sort.ts";
import { go, linkTo } from "../../state/url.ts";
import { defined, type DefinedAttributes } from "../tip.tsx";
import type { Curve } from "./sparks.ts";

export interface RowProps {
    id: string;
    row: Row;
    index: number; // from 1, the head's line is 1
    curve: Curve | undefined;
    span: string; // of the curve
    alertPct: number;
    open: number | null; // the scale of what has no limit
    selected: boolean;
    live: boolean;
    address: string; // what links keep: the rest of the view
    select(id: string): void;
}

/** A path's folders are soft, so that what differs is seen. */
function Name(props: { row: Row }) {
    const { row } = props;
    const cut = row.name.startsWith("/") ? row.name.lastIndexOf("/") + 1 : 0;
    const inside =
        row.inside === null ? "" : ` (${t("row.inside", { name: visible(row.inside) })})`;
    return (
        <a
            class="name"
            href={linkTo({ name: "container", key: row.key })}
            title={visible(row.name) + inside}
            tabIndex={0}
        >
            {cut > 0 && <span class="folder">{visible(row.name.slice(0, cut))}</span>}
            <bdi>{visible(row.name.slice(cut))}</bdi>
        </a>
    );
}

/** Whose limit it is, where it is not its own. */
/** Runtimes that collect garbage: of the rest nobody asks in a list. */
const LANGUAGES = ["go", "java", "openj9", "node", "python"];

function LanguageBadge(props: { text: string | null }) {
    const word = props.text?.split(" ")[0] ?? "";
    if (!LANGUAGES.includes(word)) return null;
    return (
        <span class="badge" title={visible(props.text ?? "")} data-testid="lang">
            {word}
        </span>
    );
}

function limitNotes(row: Row): string[] {
    if (isUnlimited(row)) return [t("limit.noneTitle")];
    const notes: string[] = [];
    if (isLimitAbove(row))
        notes.push(
            t("limit.above", {
                path:
                    row.limit_from === "outside"
                        ? t("limit.unseen")
                        : visible(row.limit_from ?? ""),
            }),
        );
    if (!row.limit_certain) notes.push(t("limit.unsure"));
    return notes;
}

function usedTip(row: Row): DefinedAttributes {
    if (!row.kernel_reclaimable_unknown) return defined("used", row.used);
    return { "data-metric": "used", "data-exact": `${exactBytes(row.used)}; ${t("used.kernel")}` };
}

function limitTip(row: Row): DefinedAttributes {
    return {
        "data-metric": "limit",
        "data-exact": [exactBytes(row.limit), ...limitNotes(row)].join("; "),
    };
}

function LimitText(props: { row: Row }) {
    const { row } = props;
    if (row.limit === null) return <>{UNKNOWN}</>;
    if (isUnlimited(row)) return <span class="soft">{t("limit.none")}</span>;
    const sign = !row.limit_certain ? "≤" : isLimitAbove(row) ? "↑" : "";
    return (
        <>
            {sign !== "" && (
                <span class="soft" aria-hidden="true">
                    {sign}
                </span>
            )}
            {bytes(row.limit)}
        </>
    );
}

function trendTip(row: Row): DefinedAttributes {
    const tip = defined("trend_bytes_per_h");
    const { trend_window_s: window, trend_bytes_per_h: rate } = row;
    if (window === null || rate === null || row.trend === "steady") return tip;
    return {
        ...tip,
        "data-exact": `${exactBytes(rate)}/h, ${t("trend.window", { window: duration(window) })}`,
    };
}

function Trend(props: { row: Row }) {
    const { trend, trend_bytes_per_h: rate } = props.row;
    if (trend === null || trend === undefined) return <>{UNKNOWN}</>;
    if (trend === "steady") return <span class="soft">{t("state.steady")}</span>;
    return <>{bytesPerHour(rate)}</>;
}

/** A number that says what it is where there are no heads; `nil` where there is nothing to tell. */
function Figure(props: {
    id: "trend" | "ttl" | "psi" | "ooms" | "restarts";
    label: string;
    tip: DefinedAttributes;
    nil: boolean;
    children: ComponentChildren;
}) {
    return (
        <div
            role="cell"
            class={`c-${props.id} num${props.nil ? " nil" : ""}`}
            data-testid={props.id}
            data-label={props.label}
            {...props.tip}
        >
            {props.children}
        </div>
    );
}

function Figures(props: { row: Row }) {
    const { row } = props;
    const { time_to_limit_s: ttl, psi_some_avg10: psi, restarts, trend } = row;
    const ooms = kills(row);
    const still = trend === null || trend === "steady";
    return (
        <div class="facts" role="presentation">
            <Figure id="trend" label={t("col.trend")} tip={trendTip(row)} nil={still}>
                <Trend row={row} />
            </Figure>
            <Figure
                id="ttl"
                label={t("col.ttl")}
                tip={defined("time_to_limit_s")}
                nil={ttl === null}
            >
                {duration(ttl)}
            </Figure>
            <Figure id="psi" label="PSI" tip={defined("psi_some_avg10")} nil={!psi}>
                {psi === 0 ? "0" : percent(psi)}
            </Figure>
            <Figure id="ooms" label={t("col.ooms")} tip={defined("oom_kills_total")} nil={!ooms}>
                {ooms ? <strong class="killed">{count(ooms)}</strong> : count(ooms)}
            </Figure>
            <Figure
                id="restarts"
                label={t("col.restarts")}
                tip={defined("restarts")}
                nil={!restarts}
            >
                {count(restarts)}
            </Figure>
        </div>
    );
}

function Memory(props: { row: Row; alertPct: number; open: number | null }) {
    const { row } = props;
    return (
        <>
            <div role="cell" class={`c-bar${isUnlimited(row) ? " unlimited" : ""}`}>
                <RowBar row={row} alertPct={props.alertPct} open={props.open} />
                <span class="pct num" {...defined("used_pct")}>
                    {row.used_pct === null ? UNKNOWN : `${percent(row.used_pct)} %`}
                </span>
            </div>
            <div role="cell" class="c-used num" data-testid="used" {...usedTip(row)}>
                {bytes(row.used)}
            </div>
            <div role="cell" class="c-limit num" data-testid="limit" {...limitTip(row)}>
                <LimitText row={row} />
            </div>
        </>
    );
}

/** The last steps of a curve are not told yet: what is now stands in their place. */
function withLive(curve: Curve, used: number | null): Curve {
    let end = curve.length;
    while (end > 0 && curve.length - end < 3 && curve[end - 1] === null) end--;
    return [...curve.slice(0, end), used];
}

function Spark(props: { row: Row; curve: Curve | undefined; span: string; live: boolean }) {
    const { row, curve } = props;
    const values = props.live ? withLive(curve ?? [], row.used) : (curve ?? []);
    return (
        <div role="cell" class="c-spark" data-testid="spark" {...defined("spark")}>
            <Sparkline
                values={values}
                label={t("spark.words", { window: props.span, now: bytes(row.used) })}
            />
        </div>
    );
}

export class RowLine extends Component<RowProps & { lang: string }> {
    override shouldComponentUpdate(next: RowProps & { lang: string }): boolean {
        return (Object.keys(next) as (keyof typeof next)[]).some(
            (key) => next[key] !== this.props[key],
        );
    }

    private readonly open = (event: MouseEvent): void => {
        const { id, row, select } = this.props;
        select(id);
        if (event.target instanceof Element && event.target.closest("a, button")) return;
        if (event.ctrlKey || event.metaKey || getSelection()?.toString()) return;
        go({ name: "container", key: row.key });
    };

    override render() {
        const { id, row, index, selected } = this.props;
        return (
            <div
                role="row"
                class={`row${selected ? " selected" : ""}`}
                data-testid="row"
                data-name={row.name}
                data-key={row.key}
                data-id={id}
                aria-rowindex={index}
                aria-current={selected ? "true" : undefined}
                onClick={this.open}
            >
                <div role="rowheader" class="c-name" data-testid="name">
                    <Name row={row} />
                </div>
                <div role="cell" class="c-runtime">
                    <span class="badge">{row.runtime ?? row.kind}</span>
                    <LanguageBadge text={row.lang} />
                </div>
                <Spark
                    row={row}
                    curve={this.props.curve}
                    span={this.props.span}
                    live={this.props.live}
                />
                <Memory row={row} alertPct={this.props.alertPct} open={this.props.open} />
                <Figures row={row} />
                <div role="cell" class="c-state">
                    <StatePill word={row.state} />
                </div>
            </div>
        );
    }
}

/** What makes a line look different though its row is the same. */
export function lineLanguage(): string {
    return language.value;
}
