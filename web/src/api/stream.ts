// Server-sent events by fetch, since EventSource can send no token. Reconnects by itself and resumes
// with Last-Event-ID; silence for longer than two heartbeats counts as a lost connection.
import { ApiError, authHeaders, errorOf } from "./client.ts";

export interface SseEvent {
    id: string | null;
    event: string;
    data: string;
}

/** Cuts a stream of text into events: feed() gives those that are complete. */
export class SseParser {
    retryMs: number | null = null;
    private rest = "";
    private id: string | null = null;

    feed(text: string): SseEvent[] {
        const events: SseEvent[] = [];
        const blocks = (this.rest + text).split("\n\n");
        this.rest = blocks.pop() ?? "";
        for (const block of blocks) {
            const event = this.parse(block);
            if (event) events.push(event);
        }
        return events;
    }

    private parse(block: string): SseEvent | null {
        let event = "message";
        const data: string[] = [];
        for (const line of block.split("\n")) {
            const colon = line.indexOf(":");
            if (colon <= 0) continue; // a comment, or nothing we know
            const value = line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
            switch (line.slice(0, colon)) {
                case "event":
                    event = value;
                    break;
                case "data":
                    data.push(value);
                    break;
                case "id":
                    this.id = value;
                    break;
                case "retry":
                    if (/^\d+$/.test(value)) this.retryMs = Number(value);
                    break;
            }
        }
        return data.length > 0 ? { id: this.id, event, data: data.join("\n") } : null;
    }
}

export type Link = "connecting" | "live" | "lost" | "refused";

export interface StreamHandlers {
    event(name: string, data: unknown, id: string | null): void;
    /** `error`: why, when it is lost or refused. */
    link(state: Link, error?: string): void;
}

const SILENCE_MS = 35_000;
const RETRY_MS = 2_000;
const RETRY_MAX_MS = 15_000;

export class Stream {
    private stopped = false;
    private abort: AbortController | null = null;
    private wake: (() => void) | null = null;
    private lastId: string | null;
    private retryMs = RETRY_MS;
    private readonly path: string;
    private readonly handlers: StreamHandlers;

    /** `lastId`: of the event that the caller has already. */
    constructor(path: string, handlers: StreamHandlers, lastId: string | null = null) {
        this.lastId = lastId;
        this.path = path;
        this.handlers = handlers;
        void this.run();
    }

    close(): void {
        this.stopped = true;
        this.abort?.abort();
        this.wake?.();
    }

    /** Do not wait any longer for the next try. */
    hurry(): void {
        this.wake?.();
    }

    private async run(): Promise<void> {
        let failures = 0;
        while (!this.stopped) {
            this.handlers.link(failures === 0 ? "connecting" : "lost");
            try {
                await this.once(() => (failures = 0));
                failures++;
                if (!this.stopped) this.handlers.link("lost");
            } catch (error) {
                failures++;
                if (this.stopped) return;
                const refused = error instanceof ApiError && error.status >= 400;
                this.handlers.link(refused ? "refused" : "lost", error instanceof Error ? error.message : undefined);
            }
            if (!this.stopped) await this.pause(Math.min(this.retryMs * failures, RETRY_MAX_MS));
        }
    }

    private async once(onEvent: () => void): Promise<void> {
        this.abort = new AbortController();
        const headers: Record<string, string> = { ...authHeaders(), Accept: "text/event-stream" };
        if (this.lastId !== null) headers["Last-Event-ID"] = this.lastId;
        const response = await fetch(this.path, { headers, signal: this.abort.signal, cache: "no-store" });
        if (!response.ok || !response.body) throw await errorOf(response);
        const parser = new SseParser();
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
            const silence = setTimeout(() => this.abort?.abort(), SILENCE_MS);
            const { value, done } = await reader.read().finally(() => clearTimeout(silence));
            if (done) return;
            for (const event of parser.feed(value)) {
                onEvent();
                this.lastId = event.id ?? this.lastId;
                this.handlers.event(event.event, JSON.parse(event.data), this.lastId);
            }
            this.retryMs = parser.retryMs ?? this.retryMs;
        }
    }

    private pause(ms: number): Promise<void> {
        return new Promise((resolve) => {
            const timer = setTimeout(resolve, ms);
            this.wake = () => {
                clearTimeout(timer);
                resolve();
            };
        });
    }
}
