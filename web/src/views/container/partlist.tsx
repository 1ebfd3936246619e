// The moment's parts with their numbers: the legend of the composition.
import { LineSwatch } from "../../charts/card.tsx";
import { isUsed } from "../../charts/table.ts";
import { bytes, clock, exactBytes, percent } from "../../format.ts";
import { t } from "../../i18n/index.ts";
import { PARTS, reclaimableOf, staysOf } from "../../parts.ts";
import { defined } from "../tip.tsx";
import {
    ALERT_DASH,
    HIGH_DASH,
    PEAK_DASH,
    alertMark,
    hasPeak,
    marksOf,
    shownMoment,
    type CompositionProps,
    type Moment,
} from "./moment.ts";

function share(part: number, usage: number | null): string {
    if (usage === null || usage === 0) return "";
    return part === 0 ? "0 %" : `${percent((part / usage) * 100)} %`;
}

/** A part whose counter this kernel does not tell is in "other"; it is not nothing. */
function PartRow(props: { id: (typeof PARTS)[number]["id"]; metric: string | null; now: Moment }) {
    const { id, metric, now } = props;
    const isTold = metric === null || (now.told(metric) ?? null) !== null;
    const value = isTold ? (now.parts?.[id] ?? null) : null;
    const definition = metric
        ? defined(metric, value)
        : { title: `${exactBytes(value)}\n${t("part.otherHelp")}` };
    return (
        <li data-testid={`part-${id}`} data-bytes={value ?? undefined} {...definition}>
            <span class={`swatch area-${id}`} aria-hidden="true" />
            <span class="part-name">{t(`part.${id}`)}</span>
            <b class="num">{bytes(value)}</b>
            <span class="num soft">{value === null ? "" : share(value, now.usage)}</span>
        </li>
    );
}

function SumRow(props: {
    text: string;
    metric?: string;
    value: number | null;
    usage: number | null;
    testid: string;
}) {
    return (
        <li
            class="sum"
            data-testid={props.testid}
            {...(props.metric
                ? defined(props.metric, props.value)
                : { title: exactBytes(props.value) })}
        >
            <span class="part-name">{props.text}</span>
            <b class="num">{bytes(props.value)}</b>
            <span class="num soft">
                {props.value === null ? "" : share(props.value, props.usage)}
            </span>
        </li>
    );
}

function LineRow(props: {
    colour: string;
    dash: number[] | null;
    text: string;
    value: number | null;
    metric?: string;
    testid: string;
}) {
    return (
        <li
            data-testid={props.testid}
            {...(props.metric
                ? defined(props.metric, props.value)
                : { title: exactBytes(props.value) })}
        >
            <LineSwatch colour={props.colour} dash={props.dash} />
            <span class="part-name">{props.text}</span>
            <b class="num">{bytes(props.value)}</b>
        </li>
    );
}

/** Of the machine the kernel itself estimates what stays: that is `used`, and not this sum. */
function isAbout(sum: number | null, used: number | null): boolean {
    return (
        sum === null || used === null || Math.abs(sum - used) <= Math.max(sum, used) * 0.02 + 65536
    );
}

export function PartList(props: CompositionProps) {
    const table = props.history.table.value;
    const { row, isLast } = props.cursor.value;
    const now = shownMoment(props);
    const { parts, usage, limit } = now;
    const stays = parts ? staysOf(parts) : null;
    const isUsedTold = isAbout(stays, now.told("used"));
    const { alertPct } = marksOf(table);
    const rows = (reclaimable: boolean) =>
        PARTS.filter((part) => part.reclaimable === reclaimable)
            .reverse()
            .map(({ id, metric }) => <PartRow key={id} id={id} metric={metric} now={now} />);
    return (
        <aside
            class="card part-list"
            data-testid="legend-composition"
            aria-label={t("composition.title")}
        >
            <p class="soft at">
                {now.at === 0
                    ? ""
                    : t(isLast ? "composition.last" : "composition.at", { time: clock(now.at) })}
            </p>
            <ul>
                <SumRow
                    text={t("part.usage")}
                    metric="usage"
                    value={usage}
                    usage={usage}
                    testid="part-usage"
                />
                <SumRow
                    text={t("part.reclaimable")}
                    value={parts ? reclaimableOf(parts) : null}
                    usage={usage}
                    testid="part-reclaimable"
                />
                {rows(true)}
                <SumRow
                    text={t(isUsedTold ? "part.stays" : "part.staysOnly")}
                    {...(isUsedTold ? { metric: "used" } : {})}
                    value={stays}
                    usage={usage}
                    testid="part-stays"
                />
                {rows(false)}
            </ul>
            <ul class="lines">
                <LineRow
                    colour="--mark-limit"
                    dash={null}
                    text={t("part.limit")}
                    value={limit}
                    metric="limit"
                    testid="part-limit"
                />
                <LineRow
                    colour="--mark-alert"
                    dash={ALERT_DASH}
                    text={t("part.alert", { pct: alertPct })}
                    value={alertMark(limit, alertPct)}
                    testid="part-alert"
                />
                {now.high !== null && (
                    <LineRow
                        colour="--mark-high"
                        dash={HIGH_DASH}
                        text="memory.high"
                        value={now.high}
                        metric="high"
                        testid="part-high"
                    />
                )}
                {hasPeak(table) && (
                    <LineRow
                        colour="--soft"
                        dash={PEAK_DASH}
                        text={t("part.peak")}
                        value={table.columns.peak?.[row ?? 0] ?? null}
                        testid="part-peak"
                    />
                )}
                {isUsed(table.columns.swap) && (
                    <SumRow
                        text={t("part.swap")}
                        metric="swap"
                        value={now.swap}
                        usage={null}
                        testid="part-swap"
                    />
                )}
            </ul>
        </aside>
    );
}
