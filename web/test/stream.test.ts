import assert from "node:assert/strict";
import { test } from "node:test";
import { SseParser } from "../src/api/stream.ts";

test("events are given when they are whole, wherever the pieces were cut", () => {
    const text = 'retry: 1500\n\nid: 7\nevent: tick\ndata: {"a":1}\n\n:\n\nevent: oom\ndata: x\ndata: y\n\n';
    for (let size = 1; size <= text.length; size++) {
        const parser = new SseParser();
        const events = [];
        for (let i = 0; i < text.length; i += size) events.push(...parser.feed(text.slice(i, i + size)));
        assert.deepEqual(events, [
            { id: "7", event: "tick", data: '{"a":1}' },
            { id: "7", event: "oom", data: "x\ny" },
        ]);
        assert.equal(parser.retryMs, 1500);
    }
});

test("what is not whole is kept back", () => {
    const parser = new SseParser();
    assert.deepEqual(parser.feed("event: tick\ndata: 1\n"), []);
    assert.equal(parser.feed("\n").length, 1);
});
