// Round moments of local time for an axis: full minutes, hours, days and months of here, also where
// the clocks were changed in between and where the zone is half an hour off.

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const MONTH_MS = 30 * DAY_MS; // as a distance; its ticks are the firsts of months

/** Distances between ticks; from a month on they are 1, 2, 3, 6 and 12 months. */
export const TIME_STEPS_MS: number[] = [
    ...[1, 2, 5, 10, 15, 30].map((s) => s * 1000),
    ...[1, 2, 5, 10, 15, 30].map((min) => min * MINUTE_MS),
    ...[1, 2, 3, 6, 12].map((h) => h * HOUR_MS),
    ...[1, 2, 7, 14].map((d) => d * DAY_MS),
    ...[1, 2, 3, 6, 12].map((months) => months * MONTH_MS),
];

/** The least distance with which a span has at most `most` ticks, or one more where it is cut so. */
export function tickStep(spanMs: number, most: number): number {
    return TIME_STEPS_MS.find((step) => spanMs / step <= most) ?? 12 * MONTH_MS;
}

/** What is to be added to a moment to have the local clock, in ms. */
function offsetAt(ms: number): number {
    return -new Date(ms).getTimezoneOffset() * MINUTE_MS;
}

/** The first moment after `from`, not after `to`, at which the clock's offset is another one. */
function changeIn(from: number, to: number): number {
    const before = offsetAt(from);
    let [low, high] = [from, to];
    while (high - low > 1) {
        const middle = Math.floor((low + high) / 2);
        if (offsetAt(middle) === before) low = middle;
        else high = middle;
    }
    return high;
}

/** Stretches with one offset: [first, last moment, offset]. */
function stretches(from: number, to: number): [number, number, number][] {
    const out: [number, number, number][] = [];
    let begin = from;
    for (let at = from; at < to; ) {
        const next = Math.min(at + DAY_MS, to);
        if (offsetAt(next) === offsetAt(at)) {
            at = next;
            continue;
        }
        const change = changeIn(at, next);
        out.push([begin, change - 1, offsetAt(begin)]);
        begin = at = change;
    }
    out.push([begin, to, offsetAt(begin)]);
    return out;
}

/** Multiples of a part of a day, as the clock on the wall counts them. An hour that the clock shows
 *  twice has its tick twice, one that it leaves out has none. */
function clockTicks(from: number, to: number, apartMs: number): number[] {
    const ticks: number[] = [];
    for (const [first, last, offset] of stretches(from, to)) {
        let at = Math.ceil((first + offset) / apartMs) * apartMs - offset;
        for (; at <= last; at += apartMs) ticks.push(at);
    }
    return ticks;
}

/** Beginnings of days; weeks begin on Monday. */
function dayTicks(from: number, to: number, days: number): number[] {
    const ticks: number[] = [];
    const start = new Date(from);
    const [year, month, date] = [start.getFullYear(), start.getMonth(), start.getDate()];
    const shift = days % 7 === 0 ? 3 : 0; // 1970 began on a Thursday
    for (let day = 0; ; day++) {
        const at = new Date(year, month, date + day).getTime();
        if (at > to) return ticks;
        const number = Date.UTC(year, month, date + day) / DAY_MS + shift;
        if (at >= from && number % days === 0) ticks.push(at);
    }
}

function monthTicks(from: number, to: number, months: number): number[] {
    const ticks: number[] = [];
    const year = new Date(from).getFullYear();
    for (let month = 0; ; month += months) {
        const at = new Date(year, month, 1).getTime();
        if (at > to) return ticks;
        if (at >= from) ticks.push(at);
    }
}

/** `apartMs`: one of TIME_STEPS_MS. */
export function timeTicks(from: number, to: number, apartMs: number): number[] {
    if (!(to >= from) || !(apartMs > 0)) return [];
    if (apartMs >= MONTH_MS) return monthTicks(from, to, Math.round(apartMs / MONTH_MS));
    if (apartMs >= DAY_MS) return dayTicks(from, to, Math.round(apartMs / DAY_MS));
    return clockTicks(Math.ceil(from), Math.floor(to), apartMs);
}
