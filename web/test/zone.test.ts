import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { zoneText } from "../src/zone.ts";

const before = process.env["TZ"];
afterEach(() => {
    if (before === undefined) delete process.env["TZ"];
    else process.env["TZ"] = before;
});

test("the zone is named as it is at the moment", () => {
    const winter = Date.UTC(2026, 0, 10);
    const summer = Date.UTC(2026, 6, 10);
    process.env["TZ"] = "Europe/Berlin";
    assert.deepEqual([zoneText(winter), zoneText(summer)], ["UTC+1", "UTC+2"]);
    process.env["TZ"] = "America/St_Johns";
    assert.equal(zoneText(winter), "UTC-3:30");
    process.env["TZ"] = "UTC";
    assert.equal(zoneText(winter), "UTC");
});
