// What usage is made of: parts that do not overlap, over time.
import { useMemo } from "preact/hooks";
import { BYTE_STEPS } from "../../charts/axis.ts";
import { ChartCard, type LegendEntry } from "../../charts/card.tsx";
import type { Sheet } from "../../charts/export.ts";
import type { ChartGroup } from "../../charts/group.ts";
import type { Line } from "../../charts/plot.tsx";
import { drawStack, partsAt, stackOf } from "../../charts/stack.ts";
import { MarkStrip } from "../../charts/strip.tsx";
import { isUsed, type Table } from "../../charts/table.ts";
import { bytes, clock } from "../../format.ts";
import { t } from "../../i18n/index.ts";
import { PARTS } from "../../parts.ts";
import { SIZE_METRICS } from "./history.ts";
import {
    ALERT_DASH,
    FAR,
    HIGH_DASH,
    PEAK_DASH,
    alertMark,
    hasPeak,
    highest,
    isNear,
    marksOf,
    shownMoment,
    type CompositionProps,
    type Marks,
    type Moment,
} from "./moment.ts";
import { PartBar } from "./partbar.tsx";

const HEIGHT = 290;

function linesOf(table: Table, { limit: near, limitShown, alertPct }: Marks): Line[] {
    const column = (name: string) => table.columns[name] ?? [];
    const lines: Line[] = [
        {
            name: "usage",
            label: t("part.usage"),
            colour: "--text",
            values: column("usage"),
            width: 1,
        },
    ];
    if (hasPeak(table))
        lines.push({
            name: "peak",
            label: t("part.peak"),
            colour: "--soft",
            values: column("peak"),
            width: 1,
            dash: PEAK_DASH,
        });
    if (limitShown) {
        const alert = near.map((limit) => alertMark(limit, alertPct));
        const limit = highest(near);
        lines.push(
            {
                name: "alert",
                label: t("part.alert", { pct: alertPct }),
                colour: "--mark-alert",
                values: alert,
                dash: ALERT_DASH,
                width: 1.75,
                stepped: true,
                note: `${alertPct} %`,
            },
            {
                name: "limit",
                label: t("part.limit"),
                colour: "--mark-limit",
                values: near,
                width: 2,
                stepped: true,
                note: `${t("part.limit")} ${bytes(limit)}`,
            },
        );
    }
    if (isUsed(table.columns.high) && highest(column("high")) <= FAR * highest(column("peak")))
        lines.push({
            name: "high",
            label: "memory.high",
            colour: "--mark-high",
            values: column("high"),
            dash: HIGH_DASH,
            width: 2.25,
            stepped: true,
            note: "memory.high",
        });
    return lines;
}

export function sheetOf(table: Table, target: string): Sheet {
    const parts = table.at.map((_, row) => partsAt(table, row));
    const other = ["usage", "used", "limit", "high", "swap"];
    const known = (metric: string | null, row: number): boolean =>
        metric === null || (table.columns[metric]?.[row] ?? null) !== null;
    return {
        id: "composition",
        title: t("composition.title"),
        target,
        names: [...PARTS.map(({ id }) => `${id}_bytes`), ...other.map((name) => `${name}_bytes`)],
        at: table.at,
        columns: [
            ...PARTS.map(({ id, metric }) =>
                parts.map((one, row) => (known(metric, row) ? (one?.[id] ?? null) : null)),
            ),
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

function pictureLegend(lines: readonly Line[]): LegendEntry[] {
    const areas = PARTS.map(({ id, colour, reclaimable }) => ({
        name: id,
        label: t(`part.${id}`),
        colour,
        dash: null,
        hatched: reclaimable,
        value: "",
    }));
    return [
        ...areas,
        ...lines.map(({ name, label, colour, dash }) => ({
            name,
            label,
            colour,
            dash: dash ?? [],
            value: "",
        })),
    ];
}

export function Composition(props: CompositionProps) {
    const { history, group } = props;
    const table = history.table.value;
    const now = shownMoment(props);
    const stack = useMemo(() => stackOf(table), [table]);
    const marks = marksOf(table, now.usage);
    const lines = linesOf(table, marks);
    const far = now.limit !== null && !isNear(now.limit, marks);
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
                    <PartBar now={now} marks={marks} />
                    {far && (
                        <p class="soft far">{t("composition.far", { limit: bytes(now.limit) })}</p>
                    )}
                    <MarkStrip group={group} />
                </>
            }
        />
    );
}
