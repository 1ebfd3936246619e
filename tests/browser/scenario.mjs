/**
 * Made-up targets. Every number is a function of the target and of time, so that what is told live
 * and what is told of the past agree, and a restart of the server changes nothing.
 */
import { METRICS } from "./metrics.mjs";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const PAGE = 4096;

export const HOST_TOTAL = 16 * GIB;

/** Names as whoever may make a control group or a label can choose them. */
export const HOSTILE_NAMES = [
    "<script>document.title = 'run'</script>",
    "<img src=x onerror=\"document.title = 'run'\">",
    "bidi\u202egnp.exe\u2066",
    `long-${"x".repeat(195)}`,
    "{{.Name}} %s%n $(id) `id` \"quote' & amp;",
    " leading, tab\there, newline\nthere ",
    "\u001b[31mred\u0007",
];

const PEOPLE = ["web", "cart", "search", "payments", "mailer", "cache", "report", "login", "images",
    "queue", "billing", "geo", "audit", "proxy", "feed"];

/** How the memory of each kind moves; `cycle_s` is how long one round takes. */
const KINDS = [
    { kind: "steady", limit: 256 * MIB, runtime: "docker", cycle_s: 60 },
    { kind: "saw", limit: 128 * MIB, runtime: "docker", cycle_s: 40 },
    { kind: "climber", limit: 192 * MIB, runtime: "docker", cycle_s: 90 },
    { kind: "cache", limit: 512 * MIB, runtime: "podman", cycle_s: 60 },
    { kind: "high", limit: 300 * MIB, runtime: "kubernetes", cycle_s: 120 },
    { kind: "unlimited", limit: null, runtime: "systemd", cycle_s: 300 },
    { kind: "thrashing", limit: 96 * MIB, runtime: "plimsoll", cycle_s: 30 },
    { kind: "shrinking", limit: GIB, runtime: "containerd", cycle_s: 900 },
    { kind: "throttled", limit: 400 * MIB, high: 320 * MIB, runtime: "podman", cycle_s: 60 },
    { kind: "hung", limit: 64 * MIB, runtime: "docker", cycle_s: 60 },
];

const STATE_OF_KIND = {
    steady: "steady", saw: "steady", cache: "cache-bound", unlimited: "steady", high: "high",
    thrashing: "thrashing", shrinking: "shrinking", throttled: "throttled", hung: "hung",
};

/** A number of [0, 1) that looks random and is always the same for the same two. */
function noise(a, b) {
    const x = Math.sin(a * 127.1 + b * 311.7) * 43758.5453;
    return x - Math.floor(x);
}

function nameOf(index) {
    const round = Math.floor(index / PEOPLE.length);
    return PEOPLE[index % PEOPLE.length] + (round > 0 ? `-${round + 1}` : "");
}

/** `n` targets; the last of them have the hostile names when `hostile` is set. */
export function makeTargets(n, hostile) {
    const targets = [];
    for (let i = 0; i < n; i++) {
        const hostileIndex = hostile ? i - (n - HOSTILE_NAMES.length) : -1;
        const name = hostileIndex >= 0 ? HOSTILE_NAMES[hostileIndex] : nameOf(i);
        targets.push({ ...KINDS[i % KINDS.length], index: i, series: i + 2, name });
    }
    return targets;
}

/** Which round of its life a target is in at a moment, and how far: [round, 0..1). */
function roundOf(target, ms) {
    const rounds = ms / 1000 / target.cycle_s + noise(target.index, 1);
    return [Math.floor(rounds), rounds - Math.floor(rounds)];
}

function usedShare(target, ms) {
    const [, phase] = roundOf(target, ms);
    const wobble = 0.01 * noise(target.index, Math.floor(ms / 1000));
    switch (target.kind) {
        case "saw":
            return 0.15 + 0.5 * phase + wobble;
        case "climber":
            return Math.min(0.999, 0.12 + 0.88 * phase + wobble);
        case "cache":
            return 0.1 + wobble;
        case "high":
            return 0.74 + 0.05 * phase + wobble;
        case "thrashing":
            return 0.86 + wobble;
        case "shrinking":
            return 0.6 - 0.4 * phase + wobble;
        case "throttled":
            return 0.76 + wobble / 2;
        case "hung":
            return 0.995;
        default:
            return 0.3 + 0.2 * noise(target.index, 7) + wobble;
    }
}

function cacheShare(target, ms) {
    const share = { cache: 0.88, thrashing: 0.1, hung: 0.001 }[target.kind];
    const wobble = 0.01 * noise(target.index, Math.floor(ms / 2000));
    return (share ?? 0.12) + wobble;
}

/** The instance: a climber that was killed is another one, under the same name. */
export function instanceOf(target, ms) {
    if (target.kind !== "climber") {
        return { uid: target.index + 1, bornMs: 1_000_000 };
    }
    const [round] = roundOf(target, ms);
    return { uid: target.index + 1 + 10_000 * (1 + (round % 100_000)), bornMs: bornMs(target, round) };
}

function bornMs(target, round) {
    return Math.round((round - noise(target.index, 1)) * target.cycle_s * 1000);
}

export function countKills(target, fromMs, toMs) {
    return target.kind === "climber" ? roundOf(target, toMs)[0] - roundOf(target, fromMs)[0] : 0;
}

/** When it was killed within a span, oldest first. */
export function killsOf(target, fromMs, toMs) {
    if (target.kind !== "climber") {
        return [];
    }
    const times = [];
    for (let round = roundOf(target, fromMs)[0]; bornMs(target, round) <= toMs; round++) {
        if (bornMs(target, round) > fromMs) {
            times.push(bornMs(target, round));
        }
    }
    return times;
}

function trendOf(target, used, limit) {
    const none = { trend: "steady", trend_bytes_per_h: 0, trend_window_s: 240, time_to_limit_s: null };
    if (target.kind === "climber") {
        const perSecond = (0.88 * limit) / target.cycle_s;
        return { trend: "growing", trend_bytes_per_h: Math.round(perSecond * 3600),
            trend_window_s: 60, time_to_limit_s: Math.round((limit - used) / perSecond) };
    }
    if (target.kind === "shrinking") {
        const perSecond = (0.4 * limit) / target.cycle_s;
        return { ...none, trend: "shrinking", trend_bytes_per_h: -Math.round(perSecond * 3600) };
    }
    return none;
}

/** When the newest kill before a moment was; null for what is never killed. */
const killedMs = (target, ms) =>
    target.kind === "climber" ? Math.max(1, bornMs(target, roundOf(target, ms)[0])) : null;

function stateOf(target, usedPct) {
    const moving = STATE_OF_KIND[target.kind];
    if (moving !== undefined) {
        return moving;
    }
    return usedPct >= 90 ? "at-limit" : "oom-killed"; // a climber: its rounds are shorter than 10 min
}

const pages = (bytes) => Math.max(0, Math.round(bytes / PAGE) * PAGE);
const centi = (value) => Math.round(value * 100) / 100;

/** Counters grow with time, at `perSecond`. */
const counter = (target, ms, perSecond) =>
    Math.floor(((ms / 1000) % 1e7) * perSecond * (0.5 + noise(target.index, 3)));

function memoryOf(target, ms) {
    const limit = target.limit ?? HOST_TOTAL;
    const size = target.limit ?? 700 * MIB;
    const used = pages(size * usedShare(target, ms));
    const kernel = pages(used * 0.06);
    const shmem = pages(used * 0.04);
    const anon = used - kernel - shmem;
    const cache = pages(Math.min(size * cacheShare(target, ms), Math.max(0, size - used)));
    const active = pages(cache * 0.4);
    const slab = target.runtime === "podman" ? pages(cache * 0.05) : null;
    const inactive = cache - active - (slab ?? 0);
    return { limit, used, kernel: kernel + (slab ?? 0), shmem, anon, active_file: active,
        inactive_file: inactive, slab_reclaimable: slab, usage: used + cache,
        file: active + inactive + shmem, working_set: used + active + (slab ?? 0) };
}

function pressureOf(target, ms) {
    const busy = { thrashing: 22, hung: 100, throttled: 35, climber: 3 }[target.kind] ?? 0;
    const some = busy === 0 ? 0 : Math.min(100, busy + 4 * noise(target.index, Math.floor(ms / 1000)));
    return { psi_some_avg10: centi(some), psi_full_avg10: centi(some * 0.6),
        psi_some_us: counter(target, ms, some * 1e4), psi_full_us: counter(target, ms, some * 6e3) };
}

/** What the runtime of a saw says of its heap, every 15 s. */
function runtimeOf(target, ms) {
    const then = Math.floor(ms / 15_000) * 15_000;
    const { anon } = memoryOf(target, then);
    return { rt_heap_used: pages(anon * 0.7), rt_heap_committed: pages(anon * 0.95),
        rt_heap_idle: pages(anon * 0.25), rt_gcs: counter(target, then, 2),
        rt_gc_us: counter(target, then, 30_000), rt_tasks: 23 };
}

function countersOf(target, ms) {
    const thrashing = target.kind === "thrashing";
    return {
        failcnt: counter(target, ms, thrashing ? 40 : 0.01),
        high_events: target.high ? counter(target, ms, 5) : null,
        pgfault: counter(target, ms, 300),
        pgmajfault: counter(target, ms, thrashing ? 60 : 0.1),
        refault_file: counter(target, ms, thrashing ? 900 : 0.2),
        refault_anon: 0,
        cpu_us: counter(target, ms, 120_000),
        ...(target.kind === "saw" ? runtimeOf(target, ms) : {}),
        net_rx: counter(target, ms, 9000),
        net_tx: counter(target, ms, 4000),
        blk_read: counter(target, ms, 20_000),
        blk_write: counter(target, ms, 1000),
    };
}

/** The metrics of a target at a moment, by the keys of a row; what is not there is unknown. */
export function metricsOf(target, ms) {
    const memory = memoryOf(target, ms);
    return {
        ...memory,
        ...pressureOf(target, ms),
        ...countersOf(target, ms),
        mapped_file: pages(memory.active_file / 3),
        dirty: pages(memory.inactive_file / 50),
        writeback: 0,
        swap: target.kind === "thrashing" ? 6 * MIB : 0,
        headroom: memory.limit - memory.used,
        own_limit: target.limit,
        high: target.high ?? null,
        peak: Math.max(memory.usage, pages((target.limit ?? 0) * 0.9)),
        oom_kills: 0,
        under_oom: target.kind === "hung",
        oom_kill_disabled: target.kind === "hung",
        pids: 1 + Math.floor(9 * noise(target.index, 5)),
        pids_limit: null,
    };
}

function concluded(target, ms, metrics) {
    const usedPct = centi((metrics.used / metrics.limit) * 100);
    return {
        cpu_pct: centi(100 * noise(target.index, Math.floor(ms / 1000)) * 0.4),
        used_pct: usedPct,
        limit_from: target.limit === null ? "host" : "self",
        limit_certain: true,
        state: stateOf(target, usedPct),
        kernel_reclaimable_unknown: metrics.slab_reclaimable === null && target.kind === "hung",
        ...trendOf(target, metrics.used, metrics.limit),
        refaults_per_s: target.kind === "thrashing" ? 900 : 0,
        ...guardOf(target, ms),
    };
}

const GUARD_MS = 600_000; // each so often something happens

/** What a guard of it saw: one kind hangs, one is above a mark, the others have none. */
function guardOf(target, ms) {
    const hangs = target.kind === "hung";
    if (!hangs && target.kind !== "high") {
        return { guarded: null, marks_passed: null, hang: null, hung_ms: null };
    }
    return { guarded: true, marks_passed: hangs ? 3 : 1, hang: hangs ? "oom-wait" : null,
        hung_ms: hangs ? ms - (ms % GUARD_MS) : null };
}

export function pathOf(target) {
    const folder = { docker: "/docker", systemd: "/system.slice", podman: "/machine.slice",
        kubernetes: "/kubepods", plimsoll: "/plimsoll-run" }[target.runtime] ?? "/default";
    return `${folder}/${idOf(target)}`;
}

function idOf(target) {
    let id = "";
    for (let i = 0; id.length < 64; i++) {
        id += Math.floor(noise(target.index + 0.5, i) * 2 ** 32).toString(16).padStart(8, "0");
    }
    return id.slice(0, 64);
}

export function keyOf(target) {
    return `${target.runtime}:${target.runtime === "kubernetes" ? "shop/" : ""}${target.name}`;
}

function identityOf(target, ms) {
    const { uid, bornMs: born } = instanceOf(target, ms);
    const isPod = target.runtime === "kubernetes";
    const isService = target.runtime === "systemd";
    const compose = target.runtime === "docker" && target.index % 20 < 10 ? "shop" : null;
    return {
        uid,
        ts: new Date(ms).toISOString(),
        key: keyOf(target),
        series: target.series,
        id: isService ? null : idOf(target),
        name: target.name,
        kind: isService ? "service" : "container",
        runtime: target.runtime,
        lang: target.kind === "saw" ? "java 17.0.15+6" : target.kind === "steady" ? "go 1.19.8" : null,
        image: isService ? null : `registry.example/${target.kind}:1.${target.index}`,
        pod: isPod ? `${target.name}-0` : null,
        namespace: isPod ? "shop" : null,
        container: isPod ? target.name : null,
        unit: isService ? `${target.name}.service` : null,
        inside: null,
        cgroup: pathOf(target),
        version: target.runtime === "podman" ? "v2" : "v1",
        init_pid: 1000 + target.index * 10,
        start_ms: born,
        born_ms: born,
        labels: compose ? { "com.docker.compose.project": compose, tier: "front" } : {},
        compose,
    };
}

/** What is not known is told too, as null. */
const UNKNOWN = Object.fromEntries(METRICS.map((metric) => [metric.key, null]));

/** A row of /api/v1/targets; counts begin at `sinceMs`. */
export function rowOf(target, ms, sinceMs) {
    const metrics = metricsOf(target, ms);
    const kills = countKills(target, sinceMs, ms);
    return { ...identityOf(target, ms), restarts: kills, oom_kills_total: kills,
        oom_killed_ms: killedMs(target, ms), ...concluded(target, ms, metrics), ...UNKNOWN, ...metrics, oom_kills: kills };
}

/** The machine's own row. */
export function hostRow(targets, ms, sinceMs) {
    const total = { used: 0, usage: 0, file: 0 };
    for (const target of targets) {
        const { used, usage, file } = memoryOf(target, ms);
        total.used += used;
        total.usage += usage;
        total.file += file;
    }
    const used = pages(Math.min(total.used, HOST_TOTAL * 0.9));
    const file = pages(Math.min(total.file, HOST_TOTAL - used));
    const kills = targets.reduce((sum, t) => sum + countKills(t, sinceMs, ms), 0);
    return {
        ...UNKNOWN, uid: 0, ts: new Date(ms).toISOString(), key: "host", series: 1, id: null, name: "host",
        kind: "group", runtime: null, image: null, pod: null, namespace: null, container: null,
        unit: null, inside: null, cgroup: "/", version: "v1", init_pid: null, start_ms: null,
        born_ms: null, labels: {}, compose: null, restarts: 0, oom_kills_total: kills, oom_killed_ms: null,
        cpu_pct: centi(40 + 20 * noise(0, Math.floor(ms / 1000))),
        used_pct: centi((used / HOST_TOTAL) * 100), limit_from: "host", limit_certain: true,
        state: "steady", kernel_reclaimable_unknown: false, trend: "steady", trend_bytes_per_h: 0,
        trend_window_s: 240, time_to_limit_s: null, refaults_per_s: 12,
        usage: used + file, used, working_set: used + pages(file / 2), anon: pages(used * 0.8),
        file: pages(file), active_file: pages(file / 2), inactive_file: pages(file / 2),
        shmem: pages(used * 0.02), kernel: pages(used * 0.18), slab_reclaimable: pages(used * 0.05),
        swap: 128 * MIB, swap_limit: 2 * GIB, limit: HOST_TOTAL, headroom: HOST_TOTAL - used,
        own_limit: null, high: null, oom_kills: kills,
        psi_some_avg10: centi(2 * noise(0, Math.floor(ms / 1000))), psi_full_avg10: 0,
        psi_some_us: 1e8, psi_full_us: 1e7, pgmajfault: 1000, refault_file: 500, refault_anon: 0,
        cpu_us: Math.floor(ms * 200), pids: null, pids_limit: null,
    };
}

/** Some processes that share a target's memory. */
export function processesOf(target, ms) {
    const memory = memoryOf(target, ms);
    const n = 1 + Math.floor(6 * noise(target.index, 5));
    const pid = 1000 + target.index * 10;
    return Array.from({ length: n }, (_, i) => {
        const share = (i === 0 ? 0.5 : 0.5 / Math.max(1, n - 1)) * (n === 1 ? 2 : 1);
        const anon = pages(memory.anon * share);
        return {
            pid: pid + i, ppid: i === 0 ? 1 : pid + (i > 2 ? 1 : 0), user: null, uid: i === 0 ? 0 : 33,
            comm: i === 0 ? "main" : `worker-${i}`, command: i === 0 ? `/usr/bin/main --config ${target.name}`
                : `main: worker ${i}`, state: i % 3 === 0 ? "S" : "R", threads: 1 + (i % 4), fds: 12 + i,
            virt: anon * 4, res: anon + 3 * MIB, shr: 2 * MIB, data: anon * 2, code: MIB, swap: 0,
            anon, file: 3 * MIB, shmem: 0, pss: anon + MIB, uss: anon, lazyfree: 0,
            pss_estimated: i % 2 === 1, oom_score: Math.round(1000 * share), start_ms: 1_000_000,
            cgroup: pathOf(target), runtime: null,
        };
    });
}

/** What happened to the targets in a span, newest first. */
export function eventsOf(targets, fromMs, toMs) {
    const events = [];
    for (const target of targets) {
        for (const at of killsOf(target, fromMs, toMs)) {
            const common = { ts: new Date(at).toISOString(), series: target.series,
                key: keyOf(target), name: target.name, at_ms: at };
            events.push({ ...common, ...killDetails(target), kind: "oom" });
            const kills = countKills(target, fromMs, at);
            events.push({ ...common, kind: "end", at_ms: at + 20 });
            events.push({ ...common, kind: "restart", restarts: kills, at_ms: at + 40 });
        }
        events.push(...guardEventsOf(target, fromMs, toMs));
        if (target.kind === "shrinking") {
            const at = toMs - (toMs % 900_000);
            if (at > fromMs) {
                events.push({ ts: new Date(at).toISOString(), series: target.series, at_ms: at,
                    key: keyOf(target), name: target.name, kind: "limit", from: GIB / 2, to: GIB });
            }
        }
    }
    return events.sort((a, b) => b.at_ms - a.at_ms);
}

function guardEventsOf(target, fromMs, toMs) {
    const at = toMs - (toMs % GUARD_MS) + 500;
    const common = { series: target.series, key: keyOf(target), name: target.name, by: "agent",
        target: pathOf(target), record: "end", dry_run: false, next: null, file: null };
    const done = (id, ms, more) => ({ ...common, id, ts: new Date(ms).toISOString(), at_ms: ms,
        kind: more.action === "gc" ? "gc" : "guard", ...more });
    const all = {
        high: () => [
            done("a1", at, { action: "gc", outcome: "done", text: "Java: 2 collections",
                before: 250 * MIB, after: 180 * MIB, took_ms: 2031.5 }),
            done("a2", at + 4000, { action: "kill", outcome: "refused", took_ms: 0.4,
                text: "main is protected", before: 180 * MIB, after: 180 * MIB,
                next: "plimsoll ps web --pss" }),
        ],
        hung: () => [
            done("h1", at, { kind: "hang", record: "hang", up: true, hang: "oom-wait",
                hang_for_ms: 260 }),
            done("h2", at + 900, { action: "rescue", outcome: "dry-run", before: 64 * MIB,
                after: 64 * MIB, took_ms: 1, text: "would lend 16M" }),
        ],
    }[target.kind];
    return (all?.() ?? []).filter(({ at_ms: ms }) => ms > fromMs && ms <= toMs);
}

function killDetails(target) {
    return {
        uid: target.index + 1, target: pathOf(target), kills: 1, sure: true, outside: false,
        victim: { pid: 1000 + target.index * 10, comm: "main", anon: pages(target.limit * 0.9),
            file: 3 * MIB, shmem: 0 },
        limit_path: pathOf(target),
    };
}
