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

/** Round sizes: 1, 2, 4 ... of each unit, so that labels are 64M and not 61.0M. */
export const BYTE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** Of an axis that is compressed: 0, 1, 10, 100 ..., without the 1 when there are many. */
export function tens(max: number): number[] {
    const splits = [0];
    for (let split = max < 100 ? 1 : 10; split <= max; split *= 10) splits.push(split);
    return splits;
}
