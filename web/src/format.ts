// Numbers as people read them. What is not known is "-", never 0.

export const UNKNOWN = "-";
const UNITS = ["K", "M", "G", "T", "P", "E"] as const;

function iec(n: number): string {
    if (n < 1023.5) return `${Math.round(n)}B`;
    let power = 1;
    while (power < UNITS.length && n / 1024 ** power >= 1023.5) power++;
    const value = n / 1024 ** power;
    const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    return value.toFixed(digits) + UNITS[power - 1];
}

/** IEC, three digits: 0B, 1023B, 60.9M, 1.50G. The same as in the terminal (num_add_iec). */
export function bytes(n: number | null | undefined): string {
    if (n === null || n === undefined || !Number.isFinite(n)) return UNKNOWN;
    return (n < 0 ? "-" : "") + iec(Math.abs(n));
}

/** "63,963,136 bytes", for titles. */
export function exactBytes(n: number | null | undefined): string {
    return n === null || n === undefined ? UNKNOWN : `${count(n)} bytes`;
}

export function count(n: number | null | undefined): string {
    return n === null || n === undefined ? UNKNOWN : Math.round(n).toLocaleString("en-US");
}

/** A percentage that is given in percent. */
export function percent(n: number | null | undefined): string {
    if (n === null || n === undefined) return UNKNOWN;
    return n >= 99.95 ? n.toFixed(0) : n >= 9.995 ? n.toFixed(1) : n.toFixed(2);
}

/** "+41.2M/h" */
export function bytesPerHour(n: number | null | undefined): string {
    if (n === null || n === undefined) return UNKNOWN;
    return n === 0 ? "0/h" : `${n > 0 ? "+" : "-"}${bytes(Math.abs(n))}/h`;
}

/** Seconds as the two largest units: 45s, 12m 5s, 3h 20m, 5d 2h. */
export function duration(s: number | null | undefined): string {
    if (s === null || s === undefined || !Number.isFinite(s)) return UNKNOWN;
    const whole = Math.max(0, Math.round(s));
    const parts: [number, string][] = [
        [Math.floor(whole / 86400), "d"],
        [Math.floor(whole / 3600) % 24, "h"],
        [Math.floor(whole / 60) % 60, "m"],
        [whole % 60, "s"],
    ];
    const first = parts.findIndex(([n]) => n > 0);
    if (first < 0) return "0s";
    return parts
        .slice(first, first + 2)
        .filter(([n], i) => n > 0 || i === 0)
        .map(([n, unit]) => n + unit)
        .join(" ");
}

function two(n: number): string {
    return String(n).padStart(2, "0");
}

/** "17:04:09" in local time. */
export function clock(ms: number): string {
    const d = new Date(ms);
    return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** "2026-11-21 17:04:09" in local time. */
export function moment(ms: number): string {
    const d = new Date(ms);
    return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(ms)}`;
}

// Controls, bidirectional and other invisible characters: those of is_invisible in src/base/text.c.
const HIDDEN =
    /[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\ufffb\ufffe\uffff\u{e0000}-\u{e01ef}\\]/gu;

function escaped(char: string): string {
    if (char === "\n") return "\\n";
    if (char === "\t") return "\\t";
    if (char === "\\") return "\\\\";
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x20 || code === 0x7f) return `\\x${code.toString(16).padStart(2, "0")}`;
    return `\\u{${code.toString(16).padStart(4, "0")}}`;
}

/** A name that others chose, with what cannot be seen written out: names that differ look different,
 * and none can turn the text around it. The same as in the terminal (text_add_visible). */
export function visible(name: string): string {
    return name.replace(HIDDEN, escaped);
}
