// What usage is made of: parts that do not overlap, over time and at the moment.
import type { ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { Row } from "../../api/types.ts";
import { ChartCard, LineSwatch, type LegendEntry } from "../../charts/card.tsx";
import { BYTE_STEPS } from "../../charts/axis.ts";
import type { Sheet } from "../../charts/export.ts";
import type { ChartGroup } from "../../charts/group.ts";
import type { Line } from "../../charts/plot.tsx";
import { drawStack, partsAt, stackOf } from "../../charts/stack.ts";
import { MarkStrip } from "../../charts/strip.tsx";
import { isUsed, type Table } from "../../charts/table.ts";
import { bytes, clock, exactBytes, percent } from "../../format.ts";
import { t } from "../../i18n/index.ts";
import { PARTS, PART_METRICS, partsOf, reclaimableOf, staysOf, type Counters, type Parts } from "../../parts.ts";
import { about } from "../../state/app.ts";
import { liveAt } from "../../state/rows.ts";
import { defined } from "../tip.tsx";
import { numberOf, SIZE_METRICS, type Cursor, type History } from "./history.ts";

/** A limit this many times as high as usage would press what is used flat: it is told in words. */
const FAR = 4;
const HEIGHT = 290;
const ALERT_DASH = [7, 4];
const HIGH_DASH = [2, 3];
const PEAK_DASH = [2, 2];

/** The numbers of one moment. */
interface Moment {
    at: number;
    parts: Parts | null;
    usage: number | null;
    limit: number | null;
    high: number | null;
    swap: number | null;
    told: (metric: string) => number | null;
}

function momentOf(at: number, value: (metric: string) => number | null): Moment {
    const counters: Counters = {};
    for (const metric of PART_METRICS) counters[metric] = value(metric);
    return {
        at,
        parts: partsOf(counters),
        usage: value("usage"),
        limit: value("limit"),
        high: value("high"),
        swap: value("swap"),
        told: value,
    };
}

/** Of what is pointed at; else the newest look itself, which a step of the table has blurred. */
function shownMoment({ history, cursor, row }: CompositionProps): Moment {
    const at = cursor.value;
    if (at.isLast && row && liveAt.value !== null) return momentOf(liveAt.value, (metric) => numberOf(row, metric));
    const table = history.table.value;
    const index = at.row ?? 0;
    return momentOf(table.at[index] ?? 0, (metric) => table.columns[metric]?.[index] ?? null);
}

function alertMark(limit: number | null, pct: number): number | null {
    return limit === null ? null : (limit * pct) / 100;
}

function highest(values: readonly (number | null)[] | undefined): number {
    return (values ?? []).reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
}

interface Marks {
    limitShown: boolean;
    alertPct: number;
}

/** With one look a step the highest of it is the same. */
function hasPeak(table: Table): boolean {
    return table.stepMs > (about.value?.interval_ms ?? 1000);
}

function linesOf(table: Table, { limitShown, alertPct }: Marks): Line[] {
    const column = (name: string) => table.columns[name] ?? [];
    const lines: Line[] = [
        { name: "usage", label: t("part.usage"), colour: "--text", values: column("usage"), width: 1 },
    ];
    if (hasPeak(table))
        lines.push({ name: "peak", label: t("part.peak"), colour: "--soft", values: column("peak"), width: 1, dash: PEAK_DASH });
    if (limitShown) {
        const alert = column("limit").map((limit) => alertMark(limit, alertPct));
        const limit = highest(column("limit"));
        lines.push(
            { name: "alert", label: t("part.alert", { pct: alertPct }), colour: "--mark-alert", values: alert, dash: ALERT_DASH, width: 1.75, stepped: true, note: `${alertPct} %` },
            { name: "limit", label: t("part.limit"), colour: "--mark-limit", values: column("limit"), width: 2, stepped: true, note: `${t("part.limit")} ${bytes(limit)}` },
        );
    }
    if (isUsed(table.columns.high) && highest(column("high")) <= FAR * highest(column("peak")))
        lines.push({ name: "high", label: "memory.high", colour: "--mark-high", values: column("high"), dash: HIGH_DASH, width: 2.25, stepped: true, note: "memory.high" });
    return lines;
}

function sheetOf(table: Table, target: string): Sheet {
    const parts = table.at.map((_, row) => partsAt(table, row));
    const other = ["usage", "used", "limit", "high", "swap"];
    return {
        title: t("composition.title"),
        target,
        names: [...PARTS.map(({ id }) => `${id}_bytes`), ...other.map((name) => `${name}_bytes`)],
        at: table.at,
        columns: [
            ...PARTS.map(({ id }) => parts.map((one) => one?.[id] ?? null)),
            ...other.map((name) => table.columns[name] ?? []),
        ],
    };
}

function summaryOf(table: Table, group: ChartGroup, now: Moment): string {
    const { from_ms, to_ms } = group.span.value;
    return t("composition.summary", {
        from: clock(from_ms),
        to: clock(to_ms),
        most: bytes(highest(table.columns.peak)),
        now: bytes(now.usage),
        limit: bytes(now.limit),
    });
}

function width(part: number, whole: number): { width: string } {
    return { width: `${whole > 0 ? Math.min(100, (part / whole) * 100) : 0}%` };
}

/** The moment's parts as one bar: as long as the limit, when that is not far away. */
function Bar(props: { now: Moment; marks: Marks }) {
    const { parts, usage, limit, high } = props.now;
    const { limitShown, alertPct } = props.marks;
    if (!parts || usage === null) return <div class="composition-bar unknown">{t("common.unknown")}</div>;
    const isNear = limit !== null && limitShown;
    const whole = isNear ? Math.max(limit, usage) : usage;
    const at = (mark: number) => ({ left: `${Math.min(100, (mark / whole) * 100)}%` });
    const words = PARTS.map(({ id }) => `${t(`part.${id}`)} ${bytes(parts[id])}`).join(", ");
    return (
        <div class="composition-bar" role="img" aria-label={words}>
            {PARTS.map((part) => (
                <span
                    key={part.id}
                    class={`area area-${part.id}`}
                    style={width(parts[part.id], whole)}
                    title={`${t(`part.${part.id}`)}: ${bytes(parts[part.id])} = ${exactBytes(parts[part.id])}`}
                />
            ))}
            {isNear && <span class="bar-mark bar-mark-alert" style={at((limit * alertPct) / 100)} />}
            {isNear && high !== null && high <= limit && <span class="bar-mark bar-mark-high" style={at(high)} />}
        </div>
    );
}

function share(part: number, usage: number | null): string {
    if (usage === null || usage === 0) return "";
    return part === 0 ? "0 %" : `${percent((part / usage) * 100)} %`;
}

/** A part whose counter this kernel does not tell is in "other"; it is not nothing. */
function PartRow(props: { id: (typeof PARTS)[number]["id"]; metric: string | null; now: Moment }) {
    const { id, metric, now } = props;
    const isTold = metric === null || (now.told(metric) ?? null) !== null;
    const value = isTold ? (now.parts?.[id] ?? null) : null;
    const definition = metric ? defined(metric, value) : { title: `${exactBytes(value)}\n${t("part.otherHelp")}` };
    return (
        <li data-testid={`part-${id}`} data-bytes={value ?? undefined} {...definition}>
            <span class={`swatch area-${id}`} aria-hidden="true" />
            <span class="part-name">{t(`part.${id}`)}</span>
            <b class="num">{bytes(value)}</b>
            <span class="num soft">{value === null ? "" : share(value, now.usage)}</span>
        </li>
    );
}

function SumRow(props: { text: string; metric?: string; value: number | null; usage: number | null; testid: string }) {
    return (
        <li class="sum" data-testid={props.testid} {...(props.metric ? defined(props.metric, props.value) : { title: exactBytes(props.value) })}>
            <span class="part-name">{props.text}</span>
            <b class="num">{bytes(props.value)}</b>
            <span class="num soft">{props.value === null ? "" : share(props.value, props.usage)}</span>
        </li>
    );
}

function LineRow(props: { colour: string; dash: number[] | null; text: string; value: number | null; metric?: string; testid: string }) {
    return (
        <li data-testid={props.testid} {...(props.metric ? defined(props.metric, props.value) : { title: exactBytes(props.value) })}>
            <LineSwatch colour={props.colour} dash={props.dash} />
            <span class="part-name">{props.text}</span>
            <b class="num">{bytes(props.value)}</b>
        </li>
    );
}

function pictureLegend(lines: readonly Line[]): LegendEntry[] {
    const areas = PARTS.map(({ id, colour, reclaimable }) => ({
        name: id,
        label: t(`part.${id}`),
        colour,
        dash: null,
        hatched: reclaimable,
        value: "",
    }));
    return [...areas, ...lines.map(({ name, label, colour, dash }) => ({ name, label, colour, dash: dash ?? [], value: "" }))];
}

export interface CompositionProps {
    history: History;
    group: ChartGroup;
    cursor: ReadonlySignal<Cursor>;
    row: Row | null; // while it is live
    target: string;
}

function marksOf(table: Table): Marks {
    const limit = highest(table.columns.limit);
    const limitShown = limit > 0 && limit <= FAR * highest(table.columns.peak);
    return { limitShown, alertPct: about.value?.marks.alert_pct ?? 90 };
}

/** The moment's parts with their numbers: the legend of the chart. */
export function PartList(props: CompositionProps) {
    const table = props.history.table.value;
    const { row, isLast } = props.cursor.value;
    const now = shownMoment(props);
    const { parts, usage, limit } = now;
    const { alertPct } = marksOf(table);
    const rows = (reclaimable: boolean) =>
        PARTS.filter((part) => part.reclaimable === reclaimable)
            .reverse()
            .map(({ id, metric }) => <PartRow key={id} id={id} metric={metric} now={now} />);
    return (
        <aside class="card part-list" data-testid="legend-composition" aria-label={t("composition.title")}>
            <p class="soft at">{now.at === 0 ? "" : t(isLast ? "composition.last" : "composition.at", { time: clock(now.at) })}</p>
            <ul>
                <SumRow text={t("part.usage")} metric="usage" value={usage} usage={usage} testid="part-usage" />
                <SumRow text={t("part.reclaimable")} value={parts ? reclaimableOf(parts) : null} usage={usage} testid="part-reclaimable" />
                {rows(true)}
                <SumRow text={t("part.stays")} metric="used" value={parts ? staysOf(parts) : null} usage={usage} testid="part-stays" />
                {rows(false)}
            </ul>
            <ul class="lines">
                <LineRow colour="--mark-limit" dash={null} text={t("part.limit")} value={limit} metric="limit" testid="part-limit" />
                <LineRow
                    colour="--mark-alert"
                    dash={ALERT_DASH}
                    text={t("part.alert", { pct: alertPct })}
                    value={alertMark(limit, alertPct)}
                    testid="part-alert"
                />
                {now.high !== null && (
                    <LineRow colour="--mark-high" dash={HIGH_DASH} text="memory.high" value={now.high} metric="high" testid="part-high" />
                )}
                {hasPeak(table) && (
                    <LineRow colour="--soft" dash={PEAK_DASH} text={t("part.peak")} value={table.columns.peak?.[row ?? 0] ?? null} testid="part-peak" />
                )}
                {isUsed(table.columns.swap) && <SumRow text={t("part.swap")} metric="swap" value={now.swap} usage={null} testid="part-swap" />}
            </ul>
        </aside>
    );
}

export function Composition(props: CompositionProps) {
    const { history, group } = props;
    const table = history.table.value;
    const now = shownMoment(props);
    const stack = useMemo(() => stackOf(table), [table]);
    const marks = marksOf(table);
    const lines = linesOf(table, marks);
    const far = !marks.limitShown && now.limit !== null;
    return (
        <ChartCard
            id="composition"
            title={t("composition.title")}
            group={group}
            target={props.target}
            at={table.at}
            lines={lines}
            legend={pictureLegend(lines)}
            legendInside={false}
            height={HEIGHT}
            format={bytes}
            steps={BYTE_STEPS}
            top={(peak) => Math.max(peak * (marks.limitShown ? 1.12 : 1.06), 4096)}
            below={(u) => drawStack(u, stack)}
            summary={summaryOf(table, group, now)}
            sheet={() => sheetOf(table, props.target)}
            path={() => history.path(SIZE_METRICS)}
            above={
                <>
                    <Bar now={now} marks={marks} />
                    {far && <p class="soft far">{t("composition.far", { limit: bytes(now.limit) })}</p>}
                    <MarkStrip group={group} />
                </>
            }
        />
    );
}
