import assert from "node:assert/strict";
import { test } from "node:test";
import { timeLabels } from "../src/charts/axis.ts";
import { TIME_STEPS_MS, tickStep, timeTicks } from "../src/charts/ticks.ts";
import { clock, moment } from "../src/format.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Date reads TZ anew when it is set. */
function inZone(zone: string, run: () => void): void {
    const before = process.env.TZ;
    process.env.TZ = zone;
    try {
        run();
    } finally {
        if (before === undefined) delete process.env.TZ;
        else process.env.TZ = before;
    }
}

const clocks = (ticks: readonly number[]): string[] => ticks.map((at) => clock(at).slice(0, 5));

test("days begin at midnight on both sides of a change of the clock", () => {
    inZone("Europe/Berlin", () => {
        const ticks = timeTicks(Date.parse("2026-10-20T10:00:00Z"), Date.parse("2026-11-06T10:00:00Z"), DAY);
        assert.equal(ticks.length, 17);
        assert.deepEqual([...new Set(clocks(ticks))], ["00:00"]);
        const lengths = ticks.slice(1).map((at, i) => (at - (ticks[i] ?? 0)) / HOUR);
        assert.deepEqual(lengths, lengths.map((_, i) => (i === 4 ? 25 : 24)));
        assert.equal(timeLabels(ticks, DAY)[0], "10-21");
    });
});

test("hours are full ones before and after a change of the clock", () => {
    inZone("Europe/Berlin", () => {
        const autumn = timeTicks(Date.parse("2026-10-24T21:00:00Z"), Date.parse("2026-10-25T12:00:00Z"), 6 * HOUR);
        assert.deepEqual(clocks(autumn), ["00:00", "06:00", "12:00"]);
        const spring = timeTicks(Date.parse("2026-03-28T21:00:00Z"), Date.parse("2026-03-29T12:00:00Z"), 6 * HOUR);
        assert.deepEqual(clocks(spring), ["00:00", "06:00", "12:00"]);
        const twice = timeTicks(Date.parse("2026-10-24T23:30:00Z"), Date.parse("2026-10-25T02:30:00Z"), HOUR);
        assert.deepEqual(clocks(twice), ["02:00", "02:00", "03:00"]);
        const left = timeTicks(Date.parse("2026-03-29T00:00:00Z"), Date.parse("2026-03-29T02:00:00Z"), HOUR);
        assert.deepEqual(clocks(left), ["01:00", "03:00", "04:00"]);
    });
});

test("zones that are half or a quarter of an hour off have full hours of their own", () => {
    for (const zone of ["Asia/Kolkata", "Asia/Kathmandu", "Australia/Adelaide"])
        inZone(zone, () => {
            const from = Date.parse("2026-09-30T01:23:45Z");
            const ticks = timeTicks(from, from + 10 * DAY, HOUR);
            assert.ok(ticks.length >= 239 && ticks.length <= 241, zone);
            assert.ok(ticks.every((at) => new Date(at).getMinutes() === 0), zone);
        });
    inZone("Australia/Lord_Howe", () => {
        const from = Date.parse("2026-10-02T00:00:00Z");
        const ticks = timeTicks(from, from + 3 * DAY, HOUR);
        assert.ok(ticks.every((at) => new Date(at).getMinutes() === 0));
    });
});

test("a day that does not have a midnight begins with its first hour", () => {
    inZone("America/Santiago", () => {
        const ticks = timeTicks(Date.parse("2026-09-04T12:00:00Z"), Date.parse("2026-09-08T12:00:00Z"), DAY);
        assert.deepEqual(ticks.map((at) => moment(at).slice(5, 16)), [
            "09-05 00:00", "09-06 01:00", "09-07 00:00", "09-08 00:00",
        ]);
    });
});

test("weeks begin on Monday, months on their first", () => {
    inZone("America/New_York", () => {
        const from = Date.parse("2026-01-15T12:00:00Z");
        const weeks = timeTicks(from, from + 60 * DAY, 7 * DAY);
        assert.ok(weeks.length === 8 || weeks.length === 9);
        assert.ok(weeks.every((at) => new Date(at).getDay() === 1 && clock(at) === "00:00:00"));
        const months = timeTicks(from, from + 360 * DAY, tickStep(360 * DAY, 6));
        assert.deepEqual(months.map((at) => moment(at).slice(0, 16)), [
            "2026-03-01 00:00", "2026-05-01 00:00", "2026-07-01 00:00", "2026-09-01 00:00", "2026-11-01 00:00",
            "2027-01-01 00:00",
        ]);
    });
});

test("every distance gives ticks in order, within the span, and not too many", () => {
    for (const zone of ["UTC", "Europe/Berlin", "Pacific/Apia", "America/St_Johns"])
        inZone(zone, () => {
            const from = Date.parse("2026-10-20T17:03:20.250Z");
            for (const step of TIME_STEPS_MS) {
                const to = from + Math.min(step * 6, 366 * DAY);
                const ticks = timeTicks(from, to, step);
                assert.ok(ticks.length <= 8, `${zone} ${step}: ${ticks.length}`);
                assert.ok(ticks.every((at, i) => at >= from && at <= to && at > (ticks[i - 1] ?? 0)));
                if (step * 6 <= 366 * DAY) assert.ok(ticks.length >= 5, `${zone} ${step}`);
            }
        });
    assert.deepEqual(timeTicks(5, 1, 1000), []);
});
