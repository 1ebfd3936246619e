// One uPlot: lines over time, with the group's cursor, marks and pinned moment. What it shows comes
// in; what the pointer wants goes to the group.
import { effect } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { tens, timeLabels } from "./axis.ts";
import { colour } from "./colour.ts";
import { AXIS_PX, RIGHT_PX, type ChartGroup } from "./group.ts";
import { drawMarks, drawNotes, drawPin, drawRims } from "./overlay.ts";
import type { Column } from "./table.ts";
import { themeVersion } from "./theme.ts";
import { TIME_STEPS_MS, timeTicks } from "./ticks.ts";

export interface Line {
    name: string;
    label: string;
    colour: string; // a variable of style.css
    values: Column;
    dash?: number[];
    width?: number;
    stepped?: boolean;
    filled?: boolean;
    note?: string; // beside the line's end
}

export interface PlotProps {
    group: ChartGroup;
    at: readonly number[];
    lines: readonly Line[];
    height: number;
    label: string; // in words, for who does not see it
    format: (value: number) => string;
    /** Where the axis ends, of the highest value. */
    top: (highest: number) => number;
    steps?: number[]; // round distances on the axis
    compressed?: boolean; // large and small values on one axis
    below?: (u: uPlot) => void; // draws under the lines
    onPlot?: (u: uPlot | null) => void;
}

const FONT = "11px system-ui, sans-serif";
const PADDING_TOP = 8;
const CLICK_PX = 4;

type Latest = { current: PlotProps };

function seriesOf(line: Line, i: number, latest: Latest): uPlot.Series {
    const now = (): Line => latest.current.lines[i] ?? line;
    const series: uPlot.Series = {
        label: line.label,
        scale: "y",
        stroke: () => colour(now().colour),
        width: line.width ?? 1.5,
        points: { show: false },
    };
    if (line.dash) series.dash = line.dash;
    if (line.filled)
        series.fill = () =>
            colour(now().colour)
                .replace(/^rgb\((.*)\)$/, "rgb($1 / 0.25)")
                .replaceAll(", ", " ");
    const stepped = line.stepped ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
    if (stepped) series.paths = stepped;
    return series;
}

function axesOf(latest: Latest): uPlot.Axis[] {
    const lines = { stroke: () => colour("--line"), width: 1 };
    const words = {
        font: FONT,
        stroke: () => colour("--soft"),
        ticks: { ...lines, size: 4 },
        grid: lines,
    };
    const y: uPlot.Axis = {
        ...words,
        scale: "y",
        size: AXIS_PX,
        gap: 4,
        space: 30,
        values: (_, splits) => splits.map((v) => (v === null ? "" : latest.current.format(v))),
    };
    if (latest.current.steps) y.incrs = latest.current.steps;
    if (latest.current.compressed) {
        y.splits = (_u, _axis, _min, max) => tens(max);
        y.filter = (_u, splits) => splits; // all of them: there is room between them
    }
    return [
        {
            ...words,
            scale: "x",
            size: 26,
            gap: 4,
            space: 76,
            incrs: TIME_STEPS_MS,
            splits: (_u, _axis, min, max, apart) => timeTicks(min, max, apart),
            values: (_u, splits, _axis, _space, apart) => timeLabels(splits, apart),
        },
        y,
    ];
}

function cursorOf(latest: Latest): uPlot.Cursor {
    const group = latest.current.group;
    return {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false, dist: CLICK_PX },
        sync: { key: group.name, scales: ["x", null], setSeries: false },
        bind: {
            dblclick: () => () => {
                group.zoomOut();
                return null;
            },
        },
    };
}

function hooksOf(latest: Latest): uPlot.Hooks.Arrays {
    const { group } = latest.current;
    return {
        drawAxes: [
            (u) => {
                latest.current.below?.(u);
                drawRims(u, latest.current.at, latest.current.lines);
            },
        ],
        draw: [
            (u) => {
                drawMarks(u, group.markGroups.peek());
                drawNotes(u, latest.current.lines);
                drawPin(u, group.pinned.peek());
            },
        ],
        setCursor: [
            (u) => {
                const { idx, left } = u.cursor;
                const isOver = left !== undefined && left >= 0 && idx !== null && idx !== undefined;
                group.hover.value = isOver ? (u.data[0]?.[idx] ?? null) : null;
            },
        ],
        setSelect: [
            (u) => {
                const { left, width } = u.select;
                if (width < CLICK_PX) return;
                const [from, to] = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
                u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
                group.zoom(Math.round(from), Math.round(to));
            },
        ],
        ready: [
            (u) =>
                u.over.addEventListener("click", (event) => {
                    if (event.detail === 1) group.pin(group.hover.peek());
                }),
        ],
    };
}

function dataOf(props: PlotProps): uPlot.AlignedData {
    const { from_ms, to_ms } = props.group.span.peek();
    if (props.at.length > 0)
        return [props.at as number[], ...props.lines.map(({ values }) => values)];
    return [[from_ms, to_ms], ...props.lines.map(() => [null, null])];
}

function optionsOf(latest: Latest, width: number): uPlot.Options {
    const { height, lines, compressed } = latest.current;
    const y: uPlot.Scale = {
        range: (_, _min, max) => [0, latest.current.top(Math.max(0, max ?? 0))],
    };
    if (compressed) y.distr = 4;
    return {
        width,
        height,
        ms: 1,
        padding: [PADDING_TOP, RIGHT_PX, 0, 0],
        legend: { show: false },
        scales: { x: { time: true, auto: false }, y },
        series: [{}, ...lines.map((line, i) => seriesOf(line, i, latest))],
        axes: axesOf(latest),
        cursor: cursorOf(latest),
        hooks: hooksOf(latest),
    };
}

/** Data and span in one drawing. */
function refresh(u: uPlot, props: PlotProps): void {
    const { from_ms, to_ms } = props.group.span.peek();
    u.batch(() => {
        u.setData(dataOf(props), false);
        u.setScale("x", { min: from_ms, max: to_ms });
    });
}

export function Plot(props: PlotProps) {
    const box = useRef<HTMLDivElement>(null);
    const plot = useRef<uPlot | null>(null);
    const latest = useRef(props);
    latest.current = props;
    const { group } = props;
    // Lines that come or go, or are drawn in another way, are another plot.
    const structure = props.lines
        .map(({ name, stepped, filled }) => `${name}${stepped}${filled}`)
        .join();

    useLayoutEffect(() => {
        const element = box.current;
        if (!element) return undefined;
        const width = (): number => Math.max(120, Math.floor(element.clientWidth));
        const u = new uPlot(optionsOf(latest, width()), dataOf(latest.current), element);
        plot.current = u;
        group.width.value = width();
        refresh(u, latest.current);
        latest.current.onPlot?.(u);
        const observer = new ResizeObserver(() => {
            if (width() === u.width) return;
            group.width.value = width();
            u.setSize({ width: width(), height: u.height });
        });
        observer.observe(element);
        return () => {
            observer.disconnect();
            latest.current.onPlot?.(null);
            u.destroy();
            plot.current = null;
        };
    }, [group, structure, props.compressed, props.height]);

    useEffect(() => {
        if (plot.current) refresh(plot.current, latest.current);
    }, [props.at, group.span.value]);
    useEffect(
        () =>
            effect(() => {
                themeVersion.value;
                group.markGroups.value;
                group.pinned.value;
                plot.current?.redraw(false);
            }),
        [group],
    );
    return <div class="plot" ref={box} role="img" aria-label={props.label} />;
}
