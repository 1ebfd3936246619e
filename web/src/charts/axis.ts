// Words on the axes: local time as people read it, bytes in powers of 1024.
import { clock, moment } from "../format.ts";

const DAY_MS = 86_400_000;

/** Each as short as the distance to the next allows; a day's first is the day. */
export function timeLabels(splits: readonly number[], apartMs: number): string[] {
    let day = "";
    return splits.map((ms) => {
        const date = moment(ms).slice(5, 10);
        const isNewDay = date !== day && day !== "";
        day = date;
        if (apartMs >= DAY_MS || isNewDay) return date;
        return apartMs < 60_000 ? clock(ms) : clock(ms).slice(0, 5);
    });
}

/** Round distances of time. */
export const TIME_STEPS_MS = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
    172800, 432000, 864000, 1728000, 5184000,
].map((s) => s * 1000);

/** Ticks of local time: at full hours and days of here, not of Greenwich. */
export function timeSplits(from: number, to: number, apartMs: number): number[] {
    const splits: number[] = [];
    const zone = new Date(from).getTimezoneOffset() * 60_000;
    for (
        let local = Math.ceil((from - zone) / apartMs) * apartMs;
        local + zone <= to;
        local += apartMs
    )
        splits.push(local + zone);
    return splits;
}

/** Round sizes: 1, 2, 4 ... of each unit, so that labels are 64M and not 61.0M. */
export const BYTE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** Of an axis that is compressed: 0, 1, 10, 100 ..., without the 1 when there are many. */
export function tens(max: number): number[] {
    const splits = [0];
    for (let split = max < 100 ? 1 : 10; split <= max; split *= 10) splits.push(split);
    return splits;
}
