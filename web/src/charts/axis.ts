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

/** Labels closer than this part of a compressed axis would cover one another. */
const APART = 0.17;

/** Of an axis that is compressed: the highest round number, then 100, 10, 1 as far as there is room. */
export function tens(max: number): number[] {
    if (max < 1) return [0];
    const power = 10 ** Math.floor(Math.log10(max) + 1e-9);
    const room = APART * Math.asinh(max);
    const splits = [Math.floor(max / power + 1e-9) * power];
    for (let split = power; split >= 1; split /= 10) {
        const isFree = Math.asinh(splits[0] ?? 0) - Math.asinh(split) >= room;
        if (isFree && Math.asinh(split) >= room) splits.unshift(split);
    }
    return [0, ...splits];
}
