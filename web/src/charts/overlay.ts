// What lies over the lines of a plot: marks, the pinned moment, words beside lines.
import type uPlot from "uplot";
import { lookOf } from "../components/event.tsx";
import { colour } from "./colour.ts";
import type { MarkGroup } from "./marks.ts";
import type { Line } from "./plot.tsx";
import type { Column } from "./table.ts";

const SEVERITY_COLOUR: Readonly<Record<string, string>> = {
    bad: "--bad",
    warn: "--mark-alert",
    note: "--line-strong",
    good: "--good",
    none: "--line-strong",
};

/** A kill's line is whole, the others are dashed: the shape above them says which is which. */
function dashOf(severity: string): number[] {
    return severity === "bad" ? [] : severity === "warn" ? [6, 3] : [2, 3];
}

function vertical(u: uPlot, ms: number, paint: string, width: number, dash: number[]): void {
    const { ctx, bbox } = u;
    const scale = devicePixelRatio;
    const x = Math.round(u.valToPos(ms, "x", true)) + 0.5;
    if (x < bbox.left || x > bbox.left + bbox.width + 1) return;
    ctx.save();
    ctx.strokeStyle = paint;
    ctx.lineWidth = width * scale;
    ctx.setLineDash(dash.map((n) => n * scale));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
}

export function drawMarks(u: uPlot, groups: readonly MarkGroup[]): void {
    for (const { kind, at } of groups) {
        const severity = lookOf(kind).severity;
        vertical(
            u,
            at,
            colour(SEVERITY_COLOUR[severity] ?? "--line-strong"),
            1.25,
            dashOf(severity),
        );
    }
}

export function drawPin(u: uPlot, at: number | null): void {
    if (at !== null) vertical(u, at, colour("--accent"), 2, []);
}

function lastOf(values: Column): number | null {
    for (let row = values.length - 1; row >= 0; row--) {
        const value = values[row] ?? null;
        if (value !== null) return value;
    }
    return null;
}

/** A pale rim below steps that have a word, so that they are seen on any area. */
export function drawRims(u: uPlot, at: readonly number[], lines: readonly Line[]): void {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.strokeStyle = colour("--panel");
    for (const { note, values, width = 1.5 } of lines) {
        if (!note) continue;
        ctx.lineWidth = (width + 2.5) * devicePixelRatio;
        ctx.beginPath();
        let before: number | null = null;
        values.forEach((value, row) => {
            const x = u.valToPos(at[row] ?? 0, "x", true);
            if (value !== null && before !== null) ctx.lineTo(x, u.valToPos(before, "y", true));
            if (value !== null && before === null) ctx.moveTo(x, u.valToPos(value, "y", true));
            else if (value !== null) ctx.lineTo(x, u.valToPos(value, "y", true));
            before = value;
        });
        ctx.stroke();
    }
    ctx.restore();
}

/** At the right end, above its line, or below where there is no room. */
export function drawNotes(u: uPlot, lines: readonly Line[]): void {
    const { ctx, bbox } = u;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.font = `${11 * scale}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    ctx.lineWidth = 3 * scale;
    ctx.lineJoin = "round";
    ctx.strokeStyle = colour("--panel");
    for (const { note, values, colour: paint } of lines) {
        const value = lastOf(values);
        if (!note || value === null) continue;
        const line = u.valToPos(value, "y", true);
        if (line < bbox.top - 1 || line > bbox.top + bbox.height) continue;
        const isAbove = line - 14 * scale > bbox.top;
        const at = [
            bbox.left + bbox.width - 4 * scale,
            line + (isAbove ? -5 : 13) * scale,
        ] as const;
        ctx.fillStyle = colour(paint);
        ctx.strokeText(note, ...at);
        ctx.fillText(note, ...at);
    }
    ctx.restore();
}
