/**
 * The agent's API and stream over made-up targets (scenario.mjs), and the page out of web/dist:
 * for working on the page without an agent, and for figures that need 500 rows.
 *
 *   node tests/browser/mock.mjs [--port N] [--targets N] [--interval MS] [--dist DIR]
 *
 * Typed on its standard input: "cut" ends every stream and refuses requests until "heal".
 */
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { METRICS, exportValue, findMetric } from "./metrics.mjs";
import { countKills, eventsOf, hostRow, instanceOf, keyOf, makeTargets, metricsOf, pathOf,
    processesOf, rowOf } from "./scenario.mjs";

const HISTORY_MS = 24 * 3600 * 1000;
const MAX_POINTS = 20_000;
const FILES = { "/": ["index.html", "text/html; charset=utf-8"],
    "/app.js": ["app.js", "text/javascript; charset=utf-8"],
    "/app.css": ["app.css", "text/css; charset=utf-8"],
    "/icon.svg": ["icon.svg", "image/svg+xml"] };
const HEADERS = {
    "Content-Security-Policy":
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
};
const SPAN_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const STATES = ["hung", "at-limit", "oom-killed", "throttled", "thrashing", "stalled", "swapping",
    "high", "cache-bound", "growing", "shrinking", "steady", "ok"];
const PARTS = ["anon", "shmem", "kernel", "other", "slab", "active file", "inactive file"];

class Refusal extends Error {
    constructor(status, text) {
        super(text);
        this.status = status;
    }
}

// --- what requests say -------------------------------------------------------------------------

function spanMs(text) {
    const found = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)?$/.exec(text);
    if (!found) {
        throw new Refusal(400, `'${text}' is no span: 15s, 5m, 1h`);
    }
    return Number(found[1]) * SPAN_MS[found[2] ?? "s"];
}

function timeMs(query, key, nowMs, fallback) {
    const text = query.get(key);
    if (text === null) {
        return fallback;
    }
    if (text === "now") {
        return nowMs;
    }
    if (text.startsWith("-")) {
        return nowMs - spanMs(text.slice(1));
    }
    if (/^\d+(\.\d+)?$/.test(text)) {
        return Number(text) < 1e11 ? Number(text) * 1000 : Number(text);
    }
    const parsed = Date.parse(text);
    if (Number.isNaN(parsed)) {
        throw new Refusal(400, `'${key}' is no time, but '${text}'`);
    }
    return parsed;
}

function metricArg(word) {
    const metric = findMetric(word);
    if (!metric) {
        throw new Refusal(400, `there is no metric '${word}'`);
    }
    return metric;
}

// --- the world ---------------------------------------------------------------------------------

class World {
    constructor(options) {
        this.targets = makeTargets(options.targets, options.hostile);
        this.startedMs = Date.now();
        this.oldestMs = this.startedMs - HISTORY_MS;
        this.intervalMs = options.intervalMs;
    }

    rows(ms) {
        return [hostRow(this.targets, ms, this.oldestMs),
            ...this.targets.map((t) => rowOf(t, ms, this.oldestMs))];
    }

    /** A target by key, name, path or id; undefined is the host. */
    find(word) {
        if (word === "host" || word === "/") {
            return undefined;
        }
        const found = this.targets.find((t) => [keyOf(t), t.name, pathOf(t)].includes(word)
            || (word.length >= 4 && pathOf(t).split("/").pop().startsWith(word)));
        if (!found) {
            throw new Refusal(404, `no target is called '${word}'`);
        }
        return found;
    }

    valueOf(target, metric, ms) {
        const metrics = target ? metricsOf(target, ms) : hostRow(this.targets, ms, this.oldestMs);
        if (target && metric.key === "oom_kills") {
            return countKills(target, this.oldestMs, ms);
        }
        return exportValue(metric, metrics[metric.key] ?? null);
    }
}

// --- answers -----------------------------------------------------------------------------------

function about(world) {
    const metrics = Object.fromEntries(
        METRICS.map(({ key, ...rest }) => [key, rest]));
    return { version: "0.1.0", host: "mock-machine", now_ms: Date.now(), started_ms: world.startedMs,
        interval_ms: world.intervalMs, history: true, oldest_ms: world.oldestMs, commands: true,
        marks: { high_pct: 70, alert_pct: 90 }, states: STATES, parts: PARTS, metrics };
}

function healthz(world) {
    const seconds = (Date.now() - world.startedMs) / 1000;
    return { status: "ok", version: "0.1.0",
        store: { broken: false, text: null, notice: null, errors: 0, dropped: 0, damaged: 0,
            pending_bytes: 6774, disk_bytes: 226_152, memory_bytes: 21_337,
            oldest_ms: world.oldestMs },
        collector: { away: false, started_ms: world.startedMs, last_tick_ms: Date.now(), age_ms: 100,
            cpu_us: Math.round(seconds * 3000), rss: 5 * 2 ** 20, ticks: Math.round(seconds),
            tick_us: 1200, ticks_late: 0, samples: 1000, targets: world.targets.length + 1, fast: 0,
            dropped: 0, front_starts: 1, no_watches: 0, denied: 0, short_of_fds: 0 },
        front: { cpu_us: Math.round(seconds * 2000), rss: 9 * 2 ** 20, requests: 12, refused: 0,
            streams: world.streams?.size ?? 0 } };
}

function targets(world, query) {
    const nowMs = Date.now();
    const atMs = timeMs(query, "at", nowMs, nowMs);
    const word = query.get("target");
    const rows = word === null || world.find(word) === undefined ? world.rows(atMs)
        : [rowOf(world.find(word), atMs, world.oldestMs)];
    return { at_ms: atMs, targets: query.has("at") ? rows.map(asPast) : rows };
}

const asPast = (row) => ({ ...row, uid: null, restarts: null, oom_kills_total: null });

function pointsOf(world, target, metric, fromMs, toMs, stepMs) {
    const step = stepMs || Math.max(world.intervalMs, 1000);
    const first = Math.ceil(Math.max(fromMs, world.oldestMs) / step) * step;
    if ((toMs - first) / step > MAX_POINTS) {
        throw new Refusal(400, "too many points: a longer step, or a shorter span");
    }
    const points = [];
    for (let at = first; at <= toMs; at += step) {
        const value = world.valueOf(target, metric, at);
        if (value !== null || metric.kind === "bound") {
            points.push(stepMs ? [at, value, value, value, value] : [at, value]);
        }
    }
    return points;
}

function series(world, query) {
    const nowMs = Date.now();
    const toMs = timeMs(query, "to", nowMs, nowMs);
    const fromMs = timeMs(query, "from", nowMs, toMs - 3_600_000);
    const stepMs = query.has("step") ? spanMs(query.get("step")) : 0;
    const word = query.get("target");
    const metrics = query.getAll("metric").map(metricArg);
    if (word === null || metrics.length === 0 || fromMs > toMs) {
        throw new Refusal(400, "target=NAME and metric=NAME; 'from' before 'to'");
    }
    const target = world.find(word);
    const head = { target: target?.name ?? "host", key: target ? keyOf(target) : "host" };
    const span = { step_ms: stepMs, from_ms: Math.round(fromMs), to_ms: Math.round(toMs) };
    const curves = metrics.map((m) => ({ metric: m.name, unit: m.unit === "flag" ? "count" : m.unit,
        points: pointsOf(world, target, m, fromMs, toMs, stepMs) }));
    if (curves.length === 1) {
        const { metric, unit, points } = curves[0];
        return { ...head, series: target?.series ?? 1, metric, unit, ...span, points };
    }
    return { ...head, ...span, series: curves };
}

function sparks(world, query) {
    const nowMs = Date.now();
    const metric = metricArg(query.get("metric") ?? "used");
    const toMs = timeMs(query, "to", nowMs, nowMs);
    const wantedFrom = timeMs(query, "from", nowMs, toMs - 7_200_000);
    const points = Math.min(1000, Number(query.get("points") ?? 120));
    const stepMs = Math.max(1000, Math.ceil((toMs - wantedFrom) / points / 1000) * 1000);
    const fromMs = Math.floor(wantedFrom / stepMs) * stepMs;
    const words = query.getAll("target");
    const chosen = words.length > 0 ? words.map((w) => world.find(w)) : [undefined, ...world.targets];
    const curve = (target) => {
        const values = [];
        for (let at = fromMs; at <= toMs; at += stepMs) {
            values.push(at < world.oldestMs ? null : world.valueOf(target, metric, at));
        }
        return values;
    };
    return { metric: metric.name, from_ms: fromMs, to_ms: toMs, step_ms: stepMs,
        series: Object.fromEntries(chosen.map((t) => [t?.series ?? 1, curve(t)])) };
}

function eventsIn(world, query, usual) {
    const nowMs = Date.now();
    const fromMs = timeMs(query, "from", nowMs, world.oldestMs);
    const toMs = timeMs(query, "to", nowMs, nowMs);
    const word = query.get("target");
    const target = word === null ? undefined : world.find(word);
    const chosen = word === null ? world.targets : target ? [target] : [];
    const limit = Math.min(1000, Number(query.get("limit") ?? usual));
    return { events: eventsOf(chosen, Math.max(fromMs, world.oldestMs), toMs), limit };
}

function events(world, query) {
    const kinds = query.getAll("kind");
    const { events: all, limit } = eventsIn(world, query, 100);
    const wanted = all.filter((e) => kinds.length === 0 || kinds.includes(e.kind));
    const cut = wanted.length > limit;
    return { events: wanted.slice(0, limit), cut, from_ms: cut ? wanted[limit].at_ms + 1 : null };
}

function incidents(world, query) {
    const { events: all, limit } = eventsIn(world, query, 100);
    const kills = all.filter((e) => e.kind === "oom").slice(0, limit);
    return { incidents: kills.map((e, i) => ({ id: kills.length - i, ...e })) };
}

function processes(world, query) {
    const word = query.get("target");
    if (word === null) {
        throw new Refusal(400, "which target? target=NAME");
    }
    const nowMs = Date.now();
    const atMs = timeMs(query, "at", nowMs, nowMs);
    const target = world.find(word);
    if (target === undefined) {
        return { target: "host", at_ms: null, total: null, processes: [] };
    }
    const list = processesOf(target, atMs);
    return { target: target.name, at_ms: atMs - (atMs % 10_000), total: list.length,
        processes: list };
}

const API = { about, targets, series, sparks, events, incidents, processes };

// --- the stream --------------------------------------------------------------------------------

/** The keys of a row that its ticks tell when anything changed. */
const CONCLUSIONS = ["used_pct", "limit_from", "limit_certain", "state",
    "kernel_reclaimable_unknown", "trend", "trend_bytes_per_h", "trend_window_s",
    "time_to_limit_s", "refaults_per_s", "guarded", "marks_passed", "hang", "hung_ms"];

function changes(before, after) {
    const changed = Object.keys(after).filter((key) => key !== "ts" && before[key] !== after[key]
        && typeof after[key] !== "object");
    const nulled = Object.keys(after).filter((k) => after[k] === null && before[k] !== null);
    const keys = new Set([...changed, ...nulled]);
    if (keys.size === 0) {
        return undefined;
    }
    CONCLUSIONS.forEach((key) => keys.add(key));
    return { uid: after.uid, ...Object.fromEntries([...keys].map((key) => [key, after[key]])) };
}

class Streams {
    constructor(world) {
        this.world = world;
        this.open = new Set();
        this.known = new Map();
        this.lastMs = Date.now();
        world.streams = this.open;
        this.isHushed = false;
        this.timer = setInterval(() => this.tick(), world.intervalMs);
    }

    add(response) {
        response.writeHead(200, { ...HEADERS, "Content-Type": "text/event-stream",
            "Cache-Control": "no-store" });
        response.write("retry: 2000\n\n");
        const atMs = this.lastMs;
        this.send(response, "snapshot", { at_ms: atMs, targets: this.world.rows(atMs), gone: [] }, atMs);
        this.open.add(response);
        response.on("close", () => this.open.delete(response));
    }

    send(response, kind, data, id) {
        const head = id === undefined ? "" : `id: ${id}\n`;
        response.write(`${head}event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`);
    }

    /** What changed since the last tick, to everybody. */
    tick() {
        const atMs = Date.now();
        const rows = new Map(this.world.rows(atMs).map((row) => [row.uid, row]));
        const told = [];
        for (const [uid, row] of rows) {
            const before = this.known.get(uid);
            told.push(before ? changes(before, row) : row);
        }
        const gone = [...this.known.keys()].filter((uid) => !rows.has(uid));
        const data = { at_ms: atMs, targets: told.filter((row) => row !== undefined), gone };
        for (const response of this.isHushed ? [] : this.open) {
            for (const kill of this.kills(this.lastMs, atMs)) {
                this.send(response, "oom", kill);
            }
            this.send(response, "tick", data, atMs);
        }
        this.known = rows;
        this.lastMs = atMs;
    }

    kills(fromMs, toMs) {
        return eventsOf(this.world.targets, fromMs, toMs).filter((e) => e.kind === "oom")
            .map((e) => ({ ...e, uid: instanceOf(this.world.find(e.key), e.at_ms - 1).uid }));
    }

    cut() {
        this.open.forEach((response) => response.destroy());
    }

    close() {
        clearInterval(this.timer);
        this.cut();
    }
}

// --- the server --------------------------------------------------------------------------------

function sendJson(response, status, data) {
    response.writeHead(status, { ...HEADERS, "Content-Type": "application/json",
        "Cache-Control": "no-store" });
    response.end(`${JSON.stringify(data)}\n`);
}

async function sendFile(response, dist, [name, type]) {
    const body = await readFile(`${dist}/${name}`).catch(() => undefined);
    if (body === undefined) {
        throw new Refusal(404, `${dist}/${name} is not there: make the page first (npm run build)`);
    }
    response.writeHead(200, { ...HEADERS, "Content-Type": type, "Cache-Control": "no-cache" });
    response.end(body);
}

function answer(server, request, response) {
    const url = new URL(request.url, "http://localhost");
    const path = url.pathname;
    const isOurs = path.startsWith("/api/") && server.token !== null;
    if (isOurs && request.headers.authorization !== `Bearer ${server.token}`) {
        throw new Refusal(401, "this agent wants a token");
    }
    if (path === "/api/v1/stream") {
        server.streams.add(response);
        return undefined;
    }
    if (path === "/healthz") {
        return sendJson(response, 200, healthz(server.world));
    }
    if (FILES[path]) {
        return sendFile(response, server.dist, FILES[path]);
    }
    const handler = path.startsWith("/api/v1/") ? API[path.slice("/api/v1/".length)] : undefined;
    if (!handler) {
        throw new Refusal(404, `there is no page '${path}'`);
    }
    return sendJson(response, 200, handler(server.world, url.searchParams));
}

async function serve(server, request, response) {
    if (server.isCut) {
        request.socket.destroy();
        return;
    }
    try {
        await answer(server, request, response);
    } catch (error) {
        if (!(error instanceof Refusal)) {
            console.error(error);
        }
        sendJson(response, error instanceof Refusal ? error.status : 500, { error: error.message });
    }
}

/**
 * A server that listens: { url, keys: of the targets, token: wanted or null, openStreams(),
 * hush(isHushed): streams stand and tell nothing, cut(), heal(), close() }.
 */
export async function startMock(options = {}) {
    const world = new World({ targets: options.targets ?? 24, hostile: options.hostile ?? true,
        intervalMs: options.intervalMs ?? 1000 });
    const server = { world, streams: new Streams(world), isCut: false, token: null,
        dist: options.dist ?? fileURLToPath(new URL("../../web/dist", import.meta.url)) };
    const http = createServer((request, response) => void serve(server, request, response));
    await new Promise((done, failed) => {
        http.once("error", failed);
        http.listen(options.port ?? 0, "127.0.0.1", done);
    });
    return {
        url: `http://127.0.0.1:${http.address().port}/`,
        keys: world.targets.map(keyOf),
        get token() {
            return server.token;
        },
        set token(token) {
            server.token = token;
        },
        openStreams: () => server.streams.open.size,
        hush(isHushed) {
            server.streams.isHushed = isHushed;
        },
        cut() {
            server.isCut = true;
            server.streams.cut();
        },
        heal() {
            server.isCut = false;
        },
        close() {
            server.streams.close();
            http.closeAllConnections();
            http.close();
        },
    };
}

function numberOf(text, name, most) {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0 || value > most) {
        console.error(`mock: --${name} is a number up to ${most}, not '${text}'`);
        process.exit(2);
    }
    return value;
}

async function main() {
    const { values } = parseArgs({ options: { port: { type: "string", default: "0" },
        targets: { type: "string", default: "24" }, interval: { type: "string", default: "1000" },
        dist: { type: "string" } } });
    const mock = await startMock({ port: numberOf(values.port, "port", 65_535),
        targets: numberOf(values.targets, "targets", 5000),
        intervalMs: numberOf(values.interval, "interval", 60_000), dist: values.dist });
    console.log(mock.url);
    for await (const line of createInterface({ input: process.stdin })) {
        if (line === "cut" || line === "heal") {
            mock[line]();
        }
    }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    await main();
}
