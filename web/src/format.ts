// Numbers as people read them. What is not known is "-", never 0.

export const UNKNOWN = "-";
const UNITS = ["B", "K", "M", "G", "T", "P"] as const;

/** IEC, three digits: 0B, 999B, 60.9M, 1.50G. The same as in the terminal. */
export function bytes(n: number | null | undefined): string {
    if (n === null || n === undefined || !Number.isFinite(n)) return UNKNOWN;
    let value = Math.abs(n);
    let unit = 0;
    while (value >= 999.5 && unit < UNITS.length - 1) {
        value /= 1024;
        unit++;
    }
    const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    return `${n < 0 ? "-" : ""}${value.toFixed(digits)}${UNITS[unit]}`;
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
