import assert from "node:assert/strict";
import { test } from "node:test";
import {
    bytes,
    bytesPerHour,
    clock,
    count,
    duration,
    exactBytes,
    moment,
    percent,
    visible,
} from "../src/format.ts";

test("sizes are those of the terminal", () => {
    // the cases of src/base/num_test.c
    const cases: [number, string][] = [
        [0, "0B"],
        [999, "999B"],
        [1023, "1023B"],
        [1024, "1.00K"],
        [1536, "1.50K"],
        [62914560, "60.0M"],
        [10234, "9.99K"],
        [10235, "10.0K"],
        [102348, "99.9K"],
        [102349, "100K"],
        [1047552, "1023K"],
        [1048575, "1.00M"],
        [1073741823, "1.00G"],
        [25276502016, "23.5G"],
        [2 ** 64, "16.0E"],
    ];
    for (const [n, text] of cases) assert.equal(bytes(n), text);
});

test("a size is never wider than six and never far off", () => {
    const units = "BKMGTPE";
    for (let i = 0; i < 4000; i++) {
        const n = Math.floor(2 ** ((i / 4000) * 63));
        const text = bytes(n);
        assert.ok(text.length <= 6, text);
        const back = Number(text.slice(0, -1)) * 1024 ** units.indexOf(text.slice(-1));
        assert.ok(Math.abs(back - n) <= n * 0.0051, `${n} is not ${text}`);
    }
});

test("what is not known is never 0", () => {
    for (const show of [bytes, exactBytes, count, percent, bytesPerHour, duration]) {
        assert.equal(show(null), "-");
        assert.equal(show(undefined), "-");
    }
    assert.equal(bytes(NaN), "-");
});

test("counts, percentages and rates", () => {
    assert.equal(exactBytes(63963136), "63,963,136 bytes");
    assert.equal(percent(0), "0.00");
    assert.equal(percent(9.994), "9.99");
    assert.equal(percent(9.996), "10.0");
    assert.equal(percent(99.96), "100");
    assert.equal(bytesPerHour(0), "0/h");
    assert.equal(bytesPerHour(43200000), "+41.2M/h");
    assert.equal(bytesPerHour(-1024), "-1.00K/h");
    assert.equal(bytes(-1536), "-1.50K");
});

test("a duration has its two largest units", () => {
    assert.equal(duration(0), "0s");
    assert.equal(duration(59.6), "1m");
    assert.equal(duration(725), "12m 5s");
    assert.equal(duration(12000), "3h 20m");
    assert.equal(duration(86400), "1d");
    assert.equal(duration(5 * 86400 + 7200 + 59), "5d 2h");
});

test("times are local", () => {
    const at = new Date(2026, 10, 21, 7, 4, 9).getTime();
    assert.equal(clock(at), "07:04:09");
    assert.equal(moment(at), "2026-11-21 07:04:09");
});

test("names show what cannot be seen, as in the terminal", () => {
    assert.equal(visible("web-1 <script>"), "web-1 <script>");
    assert.equal(visible("bidi\u202egnp.exe\u2066"), "bidi\\u{202e}gnp.exe\\u{2066}");
    assert.equal(
        visible("a\tb\nc\u001b[31m\u0007\u007f\u0085"),
        "a\\tb\\nc\\x1b[31m\\x07\\x7f\\u{0085}",
    );
    assert.equal(visible("back\\slash"), "back\\\\slash");
    assert.equal(visible("中文 émoji 🚢"), "中文 émoji 🚢");
    assert.equal(
        visible("zero\u200bwidth\ufeff\u{e0041}"),
        "zero\\u{200b}width\\u{feff}\\u{e0041}",
    );
});
