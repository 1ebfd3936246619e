// One stream for all tabs of a browser. HTTP/1.1 gives an origin six connections: with a stream for
// each tab the seventh would wait for ever. The tab that holds a Web Lock reads the stream and tells
// the others over a BroadcastChannel; whoever waits for the lock next goes on where it ended. Where
// there are no Web Locks (plain http from elsewhere) each tab has a stream of its own.
import { Stream, type Link, type StreamHandlers } from "./stream.ts";
import { token } from "./client.ts";
import type { Snapshot } from "./types.ts";

export interface SharedHandlers extends StreamHandlers {
    /** All that is known now, for a tab that joins; null: nothing yet. */
    whole(): Snapshot | null;
}

export interface Connection {
    close(): void;
    /** Do not wait any longer for the next try. */
    hurry(): void;
}

type Message =
    | { kind: "hello"; from: string; isWhole: boolean } // a tab joins, or asks whether the reader lives
    | { kind: "hurry" }
    | { kind: "reader" } // there is a new one
    | { kind: "link"; state: Link; error: string | undefined }
    | { kind: "event"; name: string; data: unknown; id: string | null }
    | { kind: "whole"; to: string; state: Link; error: string | undefined; snapshot: Snapshot | null; id: string | null };

/** Silence of the reader after which it is asked, and then replaced. */
const ASK_MS = 10_000;
const ANSWER_MS = 4_000;

export function canShare(): boolean {
    return typeof BroadcastChannel === "function" && globalThis.navigator?.locks !== undefined;
}

export function connect(path: string, handlers: SharedHandlers): Connection {
    return canShare() ? new SharedStream(path, handlers, navigator.locks) : new Stream(path, handlers);
}

/** Tabs with another token, or of another agent behind the same proxy, have a stream of their own. */
function shareName(path: string): string {
    const place = new URL(path, globalThis.location?.href ?? "http://localhost/").href;
    let hash = 0;
    for (const char of token() ?? "") hash = (Math.imul(hash, 31) + (char.codePointAt(0) ?? 0)) | 0;
    return `plimsoll ${place} ${hash}`;
}

export class SharedStream implements Connection {
    private readonly id = Math.random().toString(36).slice(2);
    private readonly name: string;
    private readonly channel: BroadcastChannel;
    private readonly waiting = new AbortController();
    private stream: Stream | null = null; // of the tab that reads
    private release: (() => void) | null = null;
    private closed = false;
    private isWhole = false; // the table is known: changes can be applied to it
    private lastId: string | null = null;
    private state: Link = "connecting";
    private error: string | undefined;
    private timer: ReturnType<typeof setTimeout> | undefined;

    constructor(
        private readonly path: string,
        private readonly handlers: SharedHandlers,
        private readonly locks: Pick<LockManager, "request">,
    ) {
        this.name = shareName(path);
        this.channel = new BroadcastChannel(this.name);
        this.channel.onmessage = (event: MessageEvent<Message>) => this.hear(event.data);
        this.told("connecting");
        this.wait();
        this.ask();
    }

    close(): void {
        if (this.closed) return;
        this.closed = true;
        clearTimeout(this.timer);
        this.stop();
        this.waiting.abort();
        this.channel.close();
    }

    hurry(): void {
        if (this.stream) this.stream.hurry();
        else this.post({ kind: "hurry" });
    }

    private post(message: Message): void {
        if (!this.closed) this.channel.postMessage(message);
    }

    private told(state: Link, error?: string): void {
        this.state = state;
        this.error = error;
        this.handlers.link(state, error);
    }

    // --- the tab that reads --------------------------------------------------------------------

    /** `steal`: from a tab that holds the lock and does not answer. */
    private wait(steal = false): void {
        const held = (): Promise<void> | void => {
            if (this.closed || this.stream) return;
            return new Promise((resolve) => {
                this.release = resolve;
                this.read();
            });
        };
        const options = steal ? { steal } : { signal: this.waiting.signal };
        this.locks.request(this.name, options, held).catch(() => {
            // Closed, or another tab took it, which took this one for dead: it listens again.
            if (this.closed) return;
            this.stop();
            this.wait();
            this.ask();
        });
    }

    private stop(): void {
        this.stream?.close();
        this.stream = null;
        this.release?.();
        this.release = null;
    }

    private read(): void {
        clearTimeout(this.timer);
        this.post({ kind: "reader" });
        const goesOn = this.isWhole && this.state === "live";
        let isFirst = true;
        this.stream = new Stream(
            this.path,
            {
                event: (name, data, id) => {
                    if (this.closed) return;
                    this.state = "live";
                    this.error = undefined;
                    this.take(name, data, id);
                    this.post({ kind: "event", name, data, id });
                },
                link: (state, error) => {
                    // Another tab had it a moment ago: that is no news for anybody.
                    const isNews = !(isFirst && goesOn);
                    isFirst = false;
                    if (this.closed || !isNews) return;
                    this.told(state, error);
                    this.post({ kind: "link", state, error });
                },
            },
            this.isWhole ? this.lastId : null,
        );
    }

    private answer(to: string, isWanted: boolean): void {
        const { state, error, lastId: id } = this;
        const snapshot = isWanted && this.isWhole ? this.handlers.whole() : null;
        this.post({ kind: "whole", to, state, error, snapshot, id });
    }

    // --- those that listen ---------------------------------------------------------------------

    private hear(message: Message): void {
        if (this.closed) return;
        if (this.stream) {
            if (message.kind === "hello") this.answer(message.from, !message.isWhole);
            else if (message.kind === "hurry") this.stream.hurry();
            return;
        }
        if (message.kind === "hello" || message.kind === "hurry") return;
        this.expect();
        if (message.kind === "reader") {
            if (!this.isWhole) this.post({ kind: "hello", from: this.id, isWhole: this.isWhole });
        } else if (message.kind === "link") this.told(message.state, message.error);
        else if (message.kind === "event") {
            // Changes of a table that is not here yet are in the answer that is on its way.
            if (this.isWhole || message.name === "snapshot") {
                this.state = "live";
                this.take(message.name, message.data, message.id);
            }
        } else if (message.to === this.id) this.join(message);
    }

    private join(message: Message & { kind: "whole" }): void {
        const { snapshot, state, error, id } = message;
        if (snapshot && !this.isWhole) {
            this.state = "live";
            this.take("snapshot", snapshot, id);
        }
        if (state !== this.state) this.told(state, error);
    }

    private take(name: string, data: unknown, id: string | null): void {
        if (name === "snapshot") this.isWhole = true;
        this.lastId = id;
        this.handlers.event(name, data, id);
    }

    private ask(): void {
        if (this.closed || this.stream) return;
        this.post({ kind: "hello", from: this.id, isWhole: this.isWhole });
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.replace(), ANSWER_MS);
    }

    private expect(): void {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.ask(), ASK_MS);
    }

    private replace(): void {
        if (this.closed || this.stream) return;
        if (globalThis.document?.hidden) this.expect();
        else this.wait(true);
    }
}
