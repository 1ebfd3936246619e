// One uPlot over seconds since the program's start, with marks where a collection was forced.
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { colour } from "../charts/colour.ts";
import { themeVersion } from "../charts/theme.ts";
import { thinned } from "./state.ts";

export interface Line {
    name: string;
    label: string;
    colour: string; // a variable of style.css
    values: (number | null)[];
    dash?: number[];
    dots?: boolean;
}

export interface ChartProps {
    id: string;
    title: string;
    at: number[];
    lines: Line[];
    marks: number[];
    format: (value: number) => string;
    steps?: number[];
}

const HEIGHT = 200;
const MARKS_APART = 10; // pixels: the chart is to be seen between them
const FONT = "11px system-ui, sans-serif";
const KEY = uPlot.sync("gctrace").key;

function drawMarks(u: uPlot, marks: readonly number[]): void {
    const { left, top, width, height } = u.bbox;
    u.ctx.save();
    u.ctx.strokeStyle = colour("--mark-alert");
    u.ctx.lineWidth = devicePixelRatio;
    u.ctx.globalAlpha = 0.45;
    u.ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    u.ctx.beginPath();
    const places = marks.map((at) => Math.round(u.valToPos(at, "x", true)));
    const seen = places.filter((x) => x >= left && x <= left + width);
    for (const x of thinned(seen, MARKS_APART * devicePixelRatio)) {
        u.ctx.moveTo(x, top);
        u.ctx.lineTo(x, top + height);
    }
    u.ctx.stroke();
    u.ctx.restore();
}

function seriesOf(line: Line): uPlot.Series {
    const series: uPlot.Series = {
        label: line.label,
        stroke: () => colour(line.colour),
        width: line.dots ? 0 : 1.5,
        points: line.dots ? { show: true, size: 5, fill: () => colour(line.colour) } : { show: false },
        spanGaps: true,
    };
    if (line.dash) series.dash = line.dash;
    return series;
}

function optionsOf(latest: { current: ChartProps }, width: number): uPlot.Options {
    const grid = { stroke: () => colour("--line"), width: 1 };
    const words = { font: FONT, stroke: () => colour("--soft"), grid, ticks: { ...grid, size: 4 } };
    const y: uPlot.Axis = {
        ...words,
        size: 64,
        values: (_, splits) => splits.map((value) => latest.current.format(value)),
    };
    if (latest.current.steps) y.incrs = latest.current.steps;
    return {
        width,
        height: HEIGHT,
        scales: {
            x: { time: false },
            y: { range: (_, __, max) => [0, max > 0 ? max * 1.05 : 1] },
        },
        padding: [8, 16, 0, 0],
        axes: [{ ...words, size: 30, values: (_, splits) => splits.map((value) => `${value}s`) }, y],
        series: [{}, ...latest.current.lines.map(seriesOf)],
        legend: { show: false },
        cursor: { sync: { key: KEY }, drag: { x: true, y: false } },
        hooks: { draw: [(u) => drawMarks(u, latest.current.marks)] },
    };
}

function dataOf(props: ChartProps): uPlot.AlignedData {
    return [props.at, ...props.lines.map((line) => line.values)];
}

function LegendEntry({ line, format }: { line: Line; format: (value: number) => string }) {
    const last = line.values.at(-1) ?? null;
    return (
        <li data-testid={`line-${line.name}`} data-value={last ?? ""}>
            <svg width="18" height="8" aria-hidden="true">
                <line
                    x1="0"
                    x2="18"
                    y1="4"
                    y2="4"
                    stroke={`var(${line.colour})`}
                    stroke-width={line.dots ? 5 : 2}
                    stroke-dasharray={line.dots ? "5 6" : (line.dash?.join(" ") ?? "none")}
                />
            </svg>{" "}
            {line.label} <b class="num">{last === null ? "-" : format(last)}</b>
        </li>
    );
}

export function Chart(props: ChartProps) {
    const box = useRef<HTMLDivElement>(null);
    const plot = useRef<uPlot | null>(null);
    const latest = useRef(props);
    latest.current = props;
    const shape = props.lines.map((line) => line.label).join("|");

    useLayoutEffect(() => {
        const element = box.current;
        if (!element) return;
        const u = new uPlot(optionsOf(latest, element.clientWidth || 600), dataOf(latest.current), element);
        plot.current = u;
        const resize = new ResizeObserver(() => u.setSize({ width: element.clientWidth, height: HEIGHT }));
        resize.observe(element);
        return () => {
            resize.disconnect();
            plot.current = null;
            u.destroy();
        };
    }, [shape]);
    useEffect(() => plot.current?.setData(dataOf(props)), [props.at, props.lines]);
    useEffect(() => themeVersion.subscribe(() => plot.current?.redraw(false)), []);

    return (
        <section class="card" data-testid={`chart-${props.id}`} data-points={props.at.length} data-marks={props.marks.length}>
            <h2>{props.title}</h2>
            <ul class="legend">
                {props.lines.map((line) => (
                    <LegendEntry key={line.name} line={line} format={props.format} />
                ))}
            </ul>
            <div ref={box} role="img" aria-label={props.title} />
        </section>
    );
}
