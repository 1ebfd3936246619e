// A chart's numbers as files.
import type { Column } from "./table.ts";

export interface Sheet {
    id: string; // of the chart, the same in every language: "psi"
    title: string;
    target: string;
    names: readonly string[]; // of the columns, with their unit: "anon_bytes"
    at: readonly number[];
    columns: readonly Column[];
}

function isEmpty(sheet: Sheet, row: number): boolean {
    return sheet.columns.every((column) => (column[row] ?? null) === null);
}

function rows(sheet: Sheet): number[] {
    return sheet.at.map((_, row) => row).filter((row) => !isEmpty(sheet, row));
}

/** At most three decimals: more than any of these numbers means. */
function rounded(value: number | null | undefined): number | null {
    return value === null || value === undefined ? null : Math.round(value * 1000) / 1000;
}

/** RFC 4180; a field that a spreadsheet would take for a formula is told as text. */
export function csvField(text: string): string {
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A header, ISO time and ms; what is not known is empty. */
export function csvOf(sheet: Sheet): string {
    const lines = [["time", "time_ms", ...sheet.names].map(csvField).join(",")];
    for (const row of rows(sheet)) {
        const at = sheet.at[row] ?? 0;
        const values = sheet.columns.map((column) => rounded(column[row]) ?? "");
        lines.push([new Date(at).toISOString(), at, ...values].join(","));
    }
    return lines.join("\r\n") + "\r\n";
}

export function jsonOf(sheet: Sheet): string {
    const points = rows(sheet).map((row) => {
        const at = sheet.at[row] ?? 0;
        const values = sheet.names.map((name, i) => [name, rounded(sheet.columns[i]?.[row])]);
        return { time: new Date(at).toISOString(), time_ms: at, ...Object.fromEntries(values) };
    });
    return JSON.stringify({ target: sheet.target, chart: sheet.id, points }, null, 1) + "\n";
}

/** "web-composition-2026-11-21T170409Z.csv": of a name that anybody chose. */
export function fileName(target: string, chart: string, endMs: number, suffix: string): string {
    const safe =
        target
            .replace(/[^A-Za-z0-9._-]+/g, "_")
            .replace(/^[._]+/, "")
            .slice(0, 60) || "target";
    const at = new Date(endMs).toISOString().slice(0, 19).replaceAll(":", "");
    return `${safe}-${chart}-${at}Z.${suffix}`;
}

export function download(name: string, blob: Blob): void {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
