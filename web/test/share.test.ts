import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { SharedStream } from "../src/api/share.ts";
import type { Link } from "../src/api/stream.ts";
import type { Row, Snapshot } from "../src/api/types.ts";
import { Table } from "../src/state/rows.ts";

/** Locks as a browser has them: one holder of a name, the others wait in their order. */
class Locks {
    private readonly queue: { run: () => Promise<void> | void; signal: AbortSignal | undefined }[] = [];
    private dispossess: (() => void) | null = null;

    request = (_name: string, options: LockOptions, run: () => Promise<void> | void): Promise<void> =>
        new Promise((resolve, reject) => {
            const entry = { run: () => this.hold(run, resolve, reject), signal: options.signal };
            options.signal?.addEventListener("abort", () => {
                const at = this.queue.indexOf(entry);
                if (at >= 0) this.queue.splice(at, 1);
                reject(new Error("aborted"));
            });
            if (options.steal) {
                this.dispossess?.();
                void entry.run();
            } else if (this.dispossess) this.queue.push(entry);
            else void entry.run();
        });

    private async hold(run: () => Promise<void> | void, done: () => void, lost: (why: Error) => void): Promise<void> {
        let isLost = false;
        this.dispossess = () => ((isLost = true), lost(new Error("stolen")));
        await run();
        if (isLost) return;
        this.dispossess = null;
        done();
        void this.queue.shift()?.run();
    }
}

interface Request {
    lastId: string | null;
    tell(text: string): void;
    isOpen: boolean;
}

const realFetch = globalThis.fetch;
let requests: Request[] = [];
let tabs: Tab[] = [];
let locks = new Locks();

beforeEach(() => {
    [requests, tabs, locks] = [[], [], new Locks()];
    globalThis.fetch = async (_path, init) => {
        let told: ReadableStreamDefaultController<Uint8Array> | null = null;
        const body = new ReadableStream<Uint8Array>({ start: (controller) => void (told = controller) });
        const request: Request = {
            lastId: new Headers(init?.headers).get("last-event-id"),
            tell: (text) => told?.enqueue(new TextEncoder().encode(text)),
            isOpen: true,
        };
        init?.signal?.addEventListener("abort", () => {
            request.isOpen = false;
            told?.error(new Error("aborted"));
        });
        requests.push(request);
        return new Response(body);
    };
});
afterEach(() => {
    for (const tab of tabs) tab.stream.close();
    globalThis.fetch = realFetch;
});

/** What a tab knows. */
class Tab {
    readonly table = new Table();
    readonly links: Link[] = [];
    readonly events: string[] = [];
    at: number | null = null;
    missed = false; // it was told a change of what it does not have
    readonly stream: SharedStream;

    constructor() {
        tabs.push(this);
        this.stream = new SharedStream(
            "api/v1/stream",
            {
                event: (name, data) => {
                    this.events.push(name);
                    const message = data as Snapshot;
                    if (name === "snapshot") this.table.snapshot(message);
                    else if (!this.table.tick(message as never)) this.missed = true;
                    this.at = message.at_ms;
                },
                link: (state) => this.links.push(state),
                whole: () => (this.at === null ? null : { at_ms: this.at, targets: this.table.rows() }),
            },
            locks as unknown as LockManager,
        );
    }

    used(): unknown {
        return this.table.rows().map((row) => [row.key, row.used]);
    }
}

const snapshot = (at: number, used: number): string =>
    `id: ${at}\nevent: snapshot\ndata: ${JSON.stringify({ at_ms: at, targets: [{ uid: 1, key: "docker:a", used }] })}\n\n`;
const tick = (at: number, used: number): string =>
    `id: ${at}\nevent: tick\ndata: ${JSON.stringify({ at_ms: at, targets: [{ uid: 1, used } as Partial<Row>] })}\n\n`;

async function until(claim: () => boolean, what: string): Promise<void> {
    for (let i = 0; i < 400 && !claim(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(claim(), what);
}

test("one tab reads, all know; one that joins is told all there is", async () => {
    const first = new Tab();
    const second = new Tab();
    await until(() => requests.length === 1, "one request");
    requests[0]?.tell(snapshot(1, 10));
    await until(() => second.at === 1, "the other tab has the table");
    requests[0]?.tell(tick(2, 20));
    await until(() => second.at === 2, "and its change");
    const third = new Tab();
    await until(() => third.at === 2, "a third has it from the first");
    requests[0]?.tell(tick(3, 30));
    await until(() => third.at === 3 && second.at === 3, "and goes on");
    for (const tab of [first, second, third]) {
        assert.deepEqual(tab.used(), [["docker:a", 30]]);
        assert.equal(tab.missed, false);
    }
    assert.equal(requests.length, 1);
    assert.equal(second.events.join(), "snapshot,tick,tick");
});

test("when the tab that reads is closed another goes on where it ended, and says nothing of it", async () => {
    const first = new Tab();
    const second = new Tab();
    const third = new Tab();
    await until(() => requests.length === 1, "one request");
    requests[0]?.tell(snapshot(1, 10) + tick(2, 20));
    await until(() => second.at === 2 && third.at === 2, "all have it");
    const links = [second.links.length, third.links.length];
    first.stream.close();
    await until(() => requests.length === 2, "another reads");
    assert.equal(requests[0]?.isOpen, false);
    assert.equal(requests[1]?.lastId, "2");
    requests[1]?.tell(tick(3, 30));
    await until(() => second.at === 3 && third.at === 3, "both go on");
    assert.deepEqual([second.links.length, third.links.length], links);
    assert.equal(third.missed || second.missed, false);
});

test("a refusal is told to all tabs", async () => {
    globalThis.fetch = async () => new Response('{"error":"too many streams"}', { status: 503 });
    const first = new Tab();
    const second = new Tab();
    await until(() => first.links.at(-1) === "refused" && second.links.at(-1) === "refused", "both are told");
});

test("a tab that lost its lock stops reading and listens", async () => {
    const first = new Tab();
    await until(() => requests.length === 1, "it reads");
    requests[0]?.tell(snapshot(1, 10));
    await until(() => first.at === 1, "the table");
    let release = (): void => undefined;
    void locks.request("", { steal: true }, () => new Promise((resolve) => (release = resolve)));
    await until(() => requests[0]?.isOpen === false, "it has stopped");
    release();
    await until(() => requests.length === 2, "and reads again when it is its turn");
    assert.equal(requests[1]?.lastId, "1");
});
