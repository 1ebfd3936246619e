// A chart as a picture that stands alone: title, span, what each line is, and the plot.
import type uPlot from "uplot";
import { colour } from "./colour.ts";

export interface PictureEntry {
    label: string;
    colour: string; // a variable of style.css
    dash: readonly number[] | null; // null: an area
    hatched: boolean;
}

const PAD = 14;
const LINE = 20;

function swatch(ctx: CanvasRenderingContext2D, entry: PictureEntry, x: number, y: number): void {
    const paint = colour(entry.colour);
    ctx.save();
    ctx.fillStyle = ctx.strokeStyle = paint;
    ctx.lineWidth = 2;
    if (entry.dash) {
        ctx.setLineDash([...entry.dash]);
        ctx.strokeRect(x, y + 6, 16, 0);
    } else {
        ctx.globalAlpha = entry.hatched ? 0.4 : 1;
        ctx.fillRect(x, y, 14, 12);
        ctx.globalAlpha = 1;
        ctx.beginPath();
        for (const shift of entry.hatched ? [0, 7] : []) {
            ctx.moveTo(x + shift, y + 12);
            ctx.lineTo(x + shift + 7, y);
        }
        ctx.stroke();
    }
    ctx.restore();
}

/** Where each entry goes: rows as wide as the picture. */
function placed(ctx: CanvasRenderingContext2D, entries: readonly PictureEntry[], width: number) {
    let x = PAD;
    let row = 0;
    return entries.map((entry) => {
        const needs = 20 + ctx.measureText(entry.label).width + 16;
        if (x > PAD && x + needs > width - PAD) {
            x = PAD;
            row++;
        }
        const at = { entry, x, row };
        x += needs;
        return at;
    });
}

export function pictureOf(
    u: uPlot,
    title: string,
    subtitle: string,
    entries: readonly PictureEntry[],
): Promise<Blob | null> {
    const scale = devicePixelRatio;
    const canvas = document.createElement("canvas");
    const ctx = canvas.getContext("2d");
    if (!ctx) return Promise.resolve(null);
    ctx.font = "12px system-ui, sans-serif";
    const places = placed(ctx, entries, u.width);
    const head = PAD * 2 + LINE * (3 + (places.at(-1)?.row ?? 0));
    canvas.width = u.width * scale;
    canvas.height = (head + u.height + PAD) * scale;
    ctx.fillStyle = colour("--panel");
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.scale(scale, scale);
    ctx.textBaseline = "top";
    ctx.fillStyle = colour("--text");
    ctx.font = "600 15px system-ui, sans-serif";
    ctx.fillText(title, PAD, PAD, u.width - 2 * PAD);
    ctx.font = "12px system-ui, sans-serif";
    ctx.fillStyle = colour("--soft");
    ctx.fillText(subtitle, PAD, PAD + LINE, u.width - 2 * PAD);
    for (const { entry, x, row } of places) {
        const y = PAD + LINE * (2 + row) + 6;
        swatch(ctx, entry, x, y);
        ctx.fillStyle = colour("--text");
        ctx.fillText(entry.label, x + 20, y);
    }
    ctx.drawImage(u.ctx.canvas, 0, head, u.width, u.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
}
