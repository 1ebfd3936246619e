// The parts of usage piled up, as polygons on a canvas: uPlot draws lines, this what is below them.
import type uPlot from "uplot";
import { PARTS, PART_METRICS, partsOf, type Counters, type Parts } from "../parts.ts";
import { colour } from "./colour.ts";
import type { Table } from "./table.ts";

export function partsAt(table: Table, row: number): Parts | null {
    const counters: Counters = {};
    for (const metric of PART_METRICS) counters[metric] = table.columns[metric]?.[row] ?? null;
    return partsOf(counters);
}

/** For each part the upper edge at each moment; null where usage is not known. */
export interface Stack {
    at: readonly number[];
    edges: (number | null)[][]; // one for each of PARTS
}

export function stackOf(table: Table): Stack {
    const edges = PARTS.map(() => new Array<number | null>(table.at.length).fill(null));
    table.at.forEach((_, row) => {
        const parts = partsAt(table, row);
        let sum = 0;
        PARTS.forEach(({ id }, i) => {
            sum += parts?.[id] ?? 0;
            const edge = edges[i];
            if (edge) edge[row] = parts === null ? null : sum;
        });
    });
    return { at: table.at, edges };
}

/** Stretches without a gap, as [first, last] rows. */
export function runsOf(edge: readonly (number | null)[]): [number, number][] {
    const runs: [number, number][] = [];
    let first = -1;
    edge.forEach((value, row) => {
        if (value !== null && first < 0) first = row;
        if (value === null && first >= 0) {
            runs.push([first, row - 1]);
            first = -1;
        }
    });
    if (first >= 0) runs.push([first, edge.length - 1]);
    return runs;
}

const HATCH_PX = 7;

/** Stripes of a colour over the same colour, pale: what can be reclaimed. */
function hatched(ctx: CanvasRenderingContext2D, paint: string): CanvasPattern | string {
    const scale = Math.max(1, Math.round(devicePixelRatio));
    const size = HATCH_PX * scale;
    const tile = document.createElement("canvas");
    tile.width = tile.height = size;
    const pen = tile.getContext("2d");
    if (!pen) return paint;
    pen.globalAlpha = 0.4;
    pen.fillStyle = paint;
    pen.fillRect(0, 0, size, size);
    pen.globalAlpha = 1;
    pen.strokeStyle = paint;
    pen.lineWidth = size / 3;
    pen.beginPath();
    for (const shift of [-size, 0, size]) {
        pen.moveTo(shift - 1, size + 1);
        pen.lineTo(shift + size + 1, -1);
    }
    pen.stroke();
    return ctx.createPattern(tile, "repeat") ?? paint;
}

function trace(u: uPlot, stack: Stack, upper: number, run: [number, number]): Path2D {
    const path = new Path2D();
    const [first, last] = run;
    const x = (row: number): number => u.valToPos(stack.at[row] ?? 0, "x", true);
    const y = (edge: number, row: number): number =>
        u.valToPos(stack.edges[edge]?.[row] ?? 0, "y", true);
    for (let row = first; row <= last; row++) path.lineTo(x(row), y(upper, row));
    for (let row = last; row >= first; row--) path.lineTo(x(row), y(upper - 1, row));
    path.closePath();
    return path;
}

export function drawStack(u: uPlot, stack: Stack): void {
    const { ctx, bbox } = u;
    const runs = runsOf(stack.edges[0] ?? []);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    PARTS.forEach((part, i) => {
        const paint = colour(part.colour);
        ctx.fillStyle = part.reclaimable ? hatched(ctx, paint) : paint;
        for (const run of runs) ctx.fill(trace(u, stack, i, run));
    });
    ctx.restore();
}
