// What memory costs this target: waiting, reading back, faults, swap, CPU. On the axis of the
// composition above.
import type { ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { BYTE_STEPS } from "../../charts/axis.ts";
import { ChartCard, type LegendEntry } from "../../charts/card.tsx";
import type { ChartGroup } from "../../charts/group.ts";
import type { Line } from "../../charts/plot.tsx";
import { difference, ratesOf, scaled, shareOf, slowRatesOf } from "../../charts/rates.ts";
import { isKnown, isUsed, type Column, type Table } from "../../charts/table.ts";
import { bytes, percent, UNKNOWN } from "../../format.ts";
import { t, type TextKey } from "../../i18n/index.ts";
import type { Cursor, History } from "./history.ts";

const HEIGHT = 118;

interface LaneLine extends Line {
    metric: string; // its definition
    unit: string; // in files: "percent"
}

interface Lane {
    id: string;
    title: TextKey;
    hint: TextKey;
    lines: LaneLine[];
    asked: readonly string[];
    format: (value: number) => string;
    least: number; // the axis reaches at least so far
    most?: number; // and not further
    compressed?: boolean;
    steps?: number[];
    missing: TextKey; // why there is nothing
}

/** 0.25, 12, 1.4k: of something in a second. */
export function rateText(value: number): string {
    if (value >= 999_500) return `${(value / 1e6).toFixed(1)}M`;
    if (value >= 9995) return `${(value / 1e3).toFixed(0)}k`;
    if (value >= 1000) return `${(value / 1e3).toFixed(1)}k`;
    return value >= 10 || Number.isInteger(value)
        ? value.toFixed(0)
        : value.toFixed(value >= 1 ? 1 : 2);
}

function percentText(value: number): string {
    return `${Number(percent(value))} %`;
}

const FIRST = { colour: "--part-anon", width: 1.5, filled: true };
const SECOND = { colour: "--mark-alert", width: 1.75, dash: [5, 3] };

const THIRD = { colour: "--part-active", width: 1.5, dash: [2, 3] };

/** The agent looks at runtimes so often. */
const RUNTIME_MS = 15_000;

/** What language runtimes say of themselves: only lanes of which something is known. */
function runtimeLanes(table: Table, endMs: number): Lane[] {
    const column = (name: string): Column => table.columns[name] ?? [];
    const rate = (name: string): Column =>
        slowRatesOf(table.at, column(name), table.stepMs, endMs, RUNTIME_MS);
    const lanes: Lane[] = [
        {
            id: "rtheap",
            title: "lane.heap",
            hint: "lane.heapHint",
            asked: ["rt_heap_used", "rt_heap_committed", "rt_heap_idle"],
            format: bytes,
            least: 1 << 20,
            steps: BYTE_STEPS,
            missing: "lane.nothing",
            lines: [
                {
                    ...FIRST,
                    name: "heap_used",
                    label: t("lane.heapUsed"),
                    values: column("rt_heap_used"),
                    metric: "rt_heap_used",
                    unit: "bytes",
                },
                {
                    ...SECOND,
                    name: "heap_committed",
                    label: t("lane.heapCommitted"),
                    values: column("rt_heap_committed"),
                    metric: "rt_heap_committed",
                    unit: "bytes",
                },
                {
                    ...THIRD,
                    name: "heap_idle",
                    label: t("lane.heapIdle"),
                    values: column("rt_heap_idle"),
                    metric: "rt_heap_idle",
                    unit: "bytes",
                },
            ],
        },
        {
            id: "rtgctime",
            title: "lane.gcTime",
            hint: "lane.gcTimeHint",
            asked: ["rt_gc_us"],
            format: percentText,
            least: 1,
            most: 100,
            missing: "lane.nothing",
            lines: [
                {
                    ...FIRST,
                    name: "gc_time",
                    label: t("lane.gcShare"),
                    values: shareOf(rate("rt_gc_us")),
                    metric: "rt_gc_us",
                    unit: "percent",
                },
            ],
        },
        {
            id: "rtgcs",
            title: "lane.gcs",
            hint: "lane.gcsHint",
            asked: ["rt_gcs"],
            format: rateText,
            least: 1,
            missing: "lane.nothing",
            lines: [
                {
                    ...FIRST,
                    name: "collections",
                    label: t("lane.gcsLabel"),
                    values: rate("rt_gcs"),
                    metric: "rt_gcs",
                    unit: "per_second",
                },
            ],
        },
        {
            id: "rttasks",
            title: "lane.tasks",
            hint: "lane.tasksHint",
            asked: ["rt_tasks"],
            format: rateText,
            least: 10,
            missing: "lane.nothing",
            lines: [
                {
                    ...FIRST,
                    name: "tasks",
                    label: t("lane.tasksLabel"),
                    values: column("rt_tasks"),
                    metric: "rt_tasks",
                    unit: "count",
                },
            ],
        },
    ];
    return lanes.filter(({ asked }) => asked.some((metric) => isKnown(table.columns[metric])));
}

function lanesOf(table: Table, endMs: number): Lane[] {
    const rate = (name: string): Column =>
        ratesOf(table.at, table.columns[name] ?? [], table.stepMs, endMs);
    const faults = rate("pgfault");
    const major = rate("pgmajfault");
    const lanes: Lane[] = [
        {
            id: "psi",
            title: "lane.psi",
            hint: "lane.psiHint",
            asked: ["psi_some_us", "psi_full_us"],
            format: percentText,
            least: 1,
            most: 100,
            missing: "lane.noPsi",
            lines: [
                {
                    ...FIRST,
                    name: "psi_some",
                    label: t("lane.some"),
                    values: shareOf(rate("psi_some_us")),
                    metric: "psi_some_us",
                    unit: "percent",
                },
                {
                    ...SECOND,
                    name: "psi_full",
                    label: t("lane.full"),
                    values: shareOf(rate("psi_full_us")),
                    metric: "psi_full_us",
                    unit: "percent",
                },
            ],
        },
        {
            id: "refaults",
            title: "lane.refaults",
            hint: "lane.refaultsHint",
            asked: ["refault_file", "refault_anon"],
            format: rateText,
            least: 10,
            missing: "lane.noRefaults",
            lines: [
                {
                    ...FIRST,
                    name: "refault_file",
                    label: t("lane.file"),
                    values: rate("refault_file"),
                    metric: "refault_file",
                    unit: "per_second",
                },
                {
                    ...SECOND,
                    name: "refault_anon",
                    label: t("lane.anon"),
                    values: rate("refault_anon"),
                    metric: "refault_anon",
                    unit: "per_second",
                },
            ],
        },
        {
            id: "faults",
            title: "lane.faults",
            hint: "lane.faultsHint",
            asked: ["pgfault", "pgmajfault"],
            format: rateText,
            least: 10,
            compressed: true,
            missing: "lane.nothing",
            lines: [
                {
                    ...FIRST,
                    name: "minor",
                    label: t("lane.minor"),
                    values: difference(faults, major),
                    metric: "pgfault",
                    unit: "per_second",
                },
                {
                    ...SECOND,
                    name: "major",
                    label: t("lane.major"),
                    values: major,
                    metric: "pgmajfault",
                    unit: "per_second",
                },
            ],
        },
        {
            id: "cpu",
            title: "lane.cpu",
            hint: "lane.cpuHint",
            asked: ["cpu_us"],
            format: percentText,
            least: 5,
            missing: "lane.nothing",
            lines: [
                {
                    ...FIRST,
                    name: "cpu",
                    label: t("lane.core"),
                    values: scaled(rate("cpu_us"), 100),
                    metric: "cpu_us",
                    unit: "percent",
                },
            ],
        },
    ];
    if (isUsed(table.columns.swap))
        lanes.splice(3, 0, {
            id: "swap",
            title: "lane.swap",
            hint: "lane.swapHint",
            asked: ["swap"],
            format: bytes,
            least: 4096,
            steps: BYTE_STEPS,
            missing: "lane.nothing",
            lines: [
                {
                    ...FIRST,
                    name: "swap",
                    label: t("part.swap"),
                    values: table.columns.swap ?? [],
                    metric: "swap",
                    unit: "bytes",
                },
            ],
        });
    return [...lanes, ...runtimeLanes(table, endMs)];
}

/** The last step is not over while it is live: the one before it is the newest that is known. */
function valueAt(values: Column, row: number | null, isLast: boolean): number | null {
    if (row === null) return null;
    const value = values[row] ?? null;
    return value === null && isLast ? (values[row - 1] ?? null) : value;
}

interface LaneProps {
    lane: Lane;
    table: Table;
    history: History;
    group: ChartGroup;
    cursor: ReadonlySignal<Cursor>;
    target: string;
}

function LaneCard({ lane, table, history, group, cursor, target }: LaneProps) {
    const { row, isLast } = cursor.value;
    const legend: LegendEntry[] = lane.lines.map((line) => {
        const value = valueAt(line.values, row, isLast);
        const entry = {
            name: line.name,
            label: line.label,
            colour: line.colour,
            dash: line.dash ?? [],
            metric: line.metric,
        };
        return { ...entry, value: value === null ? UNKNOWN : lane.format(value) };
    });
    const words = legend.map(({ label, value }) => `${label} ${value}`);
    const isEmpty = !lane.asked.some((metric) => isKnown(table.columns[metric]));
    return (
        <ChartCard
            id={lane.id}
            title={t(lane.title)}
            hint={t(lane.hint)}
            group={group}
            target={target}
            at={table.at}
            lines={lane.lines}
            legend={legend}
            height={HEIGHT}
            format={lane.format}
            {...(lane.steps ? { steps: lane.steps } : {})}
            {...(lane.compressed ? { compressed: true } : {})}
            {...(isEmpty ? { empty: t(lane.missing) } : {})}
            top={(peak) => Math.min(lane.most ?? Infinity, Math.max(lane.least, peak * 1.1))}
            summary={`${t(lane.title)}: ${words.join(", ")}`}
            sheet={() => ({
                id: lane.id,
                title: t(lane.title),
                target,
                names: lane.lines.map(({ name, unit }) => `${name}_${unit}`),
                at: table.at,
                columns: lane.lines.map(({ values }) => values),
            })}
            path={() => history.path(lane.asked)}
        />
    );
}

export function Lanes(props: Omit<LaneProps, "lane" | "table">) {
    const table = props.history.table.value;
    const { to_ms } = props.history.range.value;
    const lanes = useMemo(() => lanesOf(table, to_ms), [table, t("lane.psi")]);
    return (
        <>
            {lanes.map((lane) => (
                <LaneCard key={lane.id} {...props} lane={lane} table={table} />
            ))}
        </>
    );
}
