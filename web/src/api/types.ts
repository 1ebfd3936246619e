// What the agent's API answers. Bytes are whole numbers, times ms since 1970, unknown is null.

/** The words of src/model/state.h, from good to bad. */
export type StateWord =
    | "-"
    | "ok"
    | "steady"
    | "shrinking"
    | "growing"
    | "cache-bound"
    | "high"
    | "swapping"
    | "stalled"
    | "thrashing"
    | "throttled"
    | "oom-killed"
    | "at-limit"
    | "hung";

type Num = number | null;
type Text = string | null;

/** A target: /api/v1/targets, the stream's snapshot. More keys (every metric of metric.def) by name. */
export interface Row {
    uid: Num; // null in the past
    ts: Text;
    key: string; // "docker:web": the same when the container is made again
    series: Num; // of its history
    id: Text;
    name: string;
    kind: string; // "container", "vm", "pod", "service", "group", ...
    runtime: Text; // the engine: "docker", "podman", ...
    lang: Text; // the language runtime of its largest process: "java 17.0.15+6"
    image: Text;
    pod: Text;
    namespace: Text;
    container: Text;
    unit: Text;
    inside: Text;
    cgroup: string;
    version: "v1" | "v2";
    init_pid: Num;
    start_ms: Num;
    born_ms: Num;
    restarts: Num;
    oom_kills_total: Num;
    oom_killed_ms: Num; // the newest kill that is known
    cpu_pct: Num;
    used_pct: Num;
    limit_from: Text;
    limit_certain: boolean;
    state: StateWord | null;
    guarded?: boolean | null; // by a guard of the agent; null: none has told anything
    marks_passed?: Num; // now
    hang?: Hang | null; // as a guard sees it
    hung_ms?: Num; // since when
    kernel_reclaimable_unknown: boolean;
    trend: "steady" | "growing" | "shrinking" | null;
    trend_bytes_per_h: Num;
    trend_window_s: Num;
    time_to_limit_s: Num;
    refaults_per_s: Num;
    labels: Record<string, string>;
    compose: Text;
    usage: Num;
    used: Num;
    working_set: Num;
    anon: Num;
    file: Num;
    active_file: Num;
    inactive_file: Num;
    shmem: Num;
    kernel: Num;
    slab_reclaimable: Num;
    sock: Num;
    swap: Num;
    swap_limit: Num;
    limit: Num;
    own_limit: Num;
    high: Num;
    headroom: Num;
    peak: Num;
    failcnt: Num;
    oom_kills: Num;
    under_oom: boolean | null;
    psi_some_avg10: Num;
    psi_full_avg10: Num;
    pids: Num;
    [metric: string]: unknown;
}

export interface Targets {
    at_ms: number;
    targets: Row[];
}

export type Unit = "bytes" | "count" | "seconds" | "ratio" | "flag";

export interface MetricInfo {
    name: string; // as exported: "plimsoll_memory_used_bytes"
    unit: Unit;
    kind: "gauge" | "counter" | "bound";
    source: string; // the kernel's file and field
    help: string;
}

export interface About {
    version: string;
    host: string;
    now_ms: number;
    started_ms: Num;
    interval_ms: number;
    history: boolean;
    oldest_ms: Num;
    commands: boolean; // command lines are told to this client
    marks: { high_pct: number; alert_pct: number };
    states: StateWord[]; // the worst first
    parts: string[];
    metrics: Record<string, MetricInfo>;
}

export interface Health {
    status: "ok" | "degraded";
    version: string;
    store: { broken: boolean; text: Text; notice: Text; disk_bytes: number; oldest_ms: Num } | null;
    collector: { away: boolean; cpu_us: Num; rss: Num; targets: Num; age_ms: Num; started_ms: Num };
    front?: { cpu_us: Num; rss: Num; streams: Num };
}

/** [at_ms, value] of raw samples, [at_ms, last, min, max, mean] with a step. */
export type Point = [number, Num] | [number, Num, Num, Num, Num];

export interface Curve {
    metric: string; // as exported
    unit: Unit;
    points: Point[];
}

export interface Curves {
    target: string;
    key: string;
    step_ms: number;
    from_ms: number;
    to_ms: number;
    series: Curve[];
}

export interface Sparks {
    metric: string;
    from_ms: number;
    to_ms: number;
    step_ms: number;
    series: Record<string, Num[]>;
}

/** How it hangs at its limit: the words of src/model/hang.h. */
export type Hang = "oom-wait" | "refault-livelock" | "unkillable" | "throttled";

/** kind: "oom", "start", "end", "restart", "limit", "hang", "gc", "guard"; others may come ("alert"). */
export interface Event {
    kind: string;
    at_ms: number;
    series: Num;
    key: Text;
    name: Text;
    kills?: number;
    sure?: boolean;
    outside?: boolean;
    victim?: { pid: number; comm: Text; anon: number; file: number; shmem: number } | null;
    limit_path?: Text;
    restarts?: number;
    from?: Num;
    to?: Num;
    text?: Text;
    // Of guards:
    record?: string; // "hang", "end", "undo"
    action?: string;
    outcome?: string;
    hang?: string;
    hang_for_ms?: Num;
    up?: boolean; // a hang: it was seen, or is over
    before?: Num; // bytes used
    after?: Num;
    took_ms?: Num;
    next?: Text;
    file?: Text;
    dry_run?: boolean;
}

export interface Process {
    pid: number;
    ppid: Num;
    user: Text;
    uid: Num;
    comm: Text;
    command: Text;
    state: Text;
    threads: Num;
    fds: Num;
    virt: Num;
    res: Num;
    shr: Num;
    data: Num;
    swap: Num;
    anon: Num;
    file: Num;
    shmem: Num;
    pss: Num;
    uss: Num;
    pss_estimated: boolean;
    oom_score: Num;
    start_ms: Num;
}

export interface Processes {
    target: string;
    at_ms: Num;
    total: Num; // of which the largest are listed
    processes: Process[];
}

export interface Snapshot {
    at_ms: number;
    targets: Row[];
}

/** Rows that are new are whole; of others only what changed, found by uid. */
export interface Tick {
    at_ms: number;
    targets: (Partial<Row> & { uid: number })[];
    gone?: number[];
}
