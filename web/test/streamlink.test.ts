import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Stream, type Link } from "../src/api/stream.ts";

/** An agent that answers each request as the next of `answers` says. */
interface Answer {
    status?: number;
    text?: string; // what the stream tells before it ends
    open?: boolean; // it does not end
    fails?: boolean;
}

let requests: Headers[] = [];

function serve(answers: Answer[]): void {
    requests = [];
    globalThis.fetch = async (_path, init) => {
        requests.push(new Headers(init?.headers));
        const answer = answers[requests.length - 1] ?? { fails: true };
        if (answer.fails) throw new TypeError("failed to fetch");
        const body = new ReadableStream({
            start(controller) {
                controller.enqueue(new TextEncoder().encode(answer.text ?? ""));
                if (!answer.open) controller.close();
                init?.signal?.addEventListener("abort", () => controller.error(new Error("aborted")));
            },
        });
        return new Response(body, { status: answer.status ?? 200 });
    };
}

interface Told {
    events: [string, unknown][];
    links: Link[];
}

function open(): { stream: Stream; told: Told } {
    const told: Told = { events: [], links: [] };
    const stream = new Stream("api/v1/stream", {
        event: (name, data) => told.events.push([name, data]),
        link: (state) => told.links.push(state),
    });
    return { stream, told };
}

async function settle(): Promise<void> {
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
}

const realFetch = globalThis.fetch;
const realTimers = { setTimeout, clearTimeout };

/** Time that only ticks by hand; node 18 and node 20 would each want to be told in another way. */
class Clock {
    private now = 0;
    private readonly due = new Map<number, { at: number; run: () => void }>();
    private last = 0;

    start(): void {
        globalThis.setTimeout = ((run: () => void, ms = 0) => {
            this.due.set(++this.last, { at: this.now + ms, run });
            return this.last;
        }) as unknown as typeof setTimeout;
        globalThis.clearTimeout = ((id: number) => void this.due.delete(id)) as unknown as typeof clearTimeout;
    }

    tick(ms: number): void {
        this.now += ms;
        for (const [id, { at, run }] of [...this.due].sort((a, b) => a[1].at - b[1].at))
            if (at <= this.now && this.due.delete(id)) run();
    }
}

let clock = new Clock();
beforeEach(() => {
    clock = new Clock();
    clock.start();
});
afterEach(() => {
    Object.assign(globalThis, realTimers);
    globalThis.fetch = realFetch;
});

test("a stream that ends is opened again and says what was seen last", async () => {
    serve([{ text: 'id: 41\nevent: tick\ndata: {"at_ms":41}\n\n' }, { text: "", open: true }]);
    const { stream, told } = open();
    await settle();
    assert.deepEqual(told.events, [["tick", { at_ms: 41 }]]);
    assert.equal(told.links.at(-1), "lost");
    clock.tick(2000);
    await settle();
    assert.equal(requests.length, 2);
    assert.equal(requests[0]?.get("last-event-id"), null);
    assert.equal(requests[1]?.get("last-event-id"), "41");
    stream.close();
});

test("the waits grow while nobody answers, and end at once when hurried", async () => {
    serve([]);
    const { stream } = open();
    await settle();
    clock.tick(2000);
    await settle();
    assert.equal(requests.length, 2);
    clock.tick(3999);
    await settle();
    assert.equal(requests.length, 2);
    stream.hurry();
    await settle();
    assert.equal(requests.length, 3);
    stream.close();
});

test("the agent's own wait is taken over", async () => {
    serve([{ text: "retry: 500\n\nevent: tick\ndata: 1\n\n" }, { open: true }]);
    const { stream } = open();
    await settle();
    clock.tick(499);
    await settle();
    assert.equal(requests.length, 1);
    clock.tick(1);
    await settle();
    assert.equal(requests.length, 2);
    stream.close();
});

test("silence for longer than two heartbeats is a lost connection", async () => {
    serve([{ text: "event: tick\ndata: 1\n\n", open: true }, { open: true }]);
    const { stream, told } = open();
    await settle();
    assert.equal(told.links.at(-1), "connecting");
    clock.tick(35_000);
    await settle();
    assert.equal(told.links.at(-1), "lost");
    stream.close();
});

test("a refusal is told as one, and asked again later", async () => {
    serve([{ status: 503 }, { open: true }]);
    const { stream, told } = open();
    await settle();
    assert.equal(told.links.at(-1), "refused");
    clock.tick(2000);
    await settle();
    assert.equal(requests.length, 2);
    stream.close();
});

test("an event that is no JSON loses the connection, not the page", async () => {
    serve([{ text: "event: tick\ndata: {\n\n" }, { open: true }]);
    const { stream, told } = open();
    await settle();
    assert.equal(told.links.at(-1), "lost");
    stream.close();
});

test("after close() nothing is asked or told any more", async () => {
    serve([{ text: "", open: true }]);
    const { stream, told } = open();
    await settle();
    stream.close();
    await settle();
    const links = told.links.length;
    clock.tick(60_000);
    await settle();
    assert.equal(requests.length, 1);
    assert.equal(told.links.length, links);
});

test("a refusal is told in the agent's own words", async () => {
    globalThis.fetch = async () => new Response('{"error":"too many streams: 64"}', { status: 503 });
    const errors: (string | undefined)[] = [];
    const stream = new Stream("api/v1/stream", {
        event: () => undefined,
        link: (_state, error) => errors.push(error),
    });
    await settle();
    assert.equal(errors.at(-1), "too many streams: 64");
    stream.close();
});
