// The texts of the collector's page, in both languages; it is a bundle of its own, without those of
// the agent's page.
import { signal } from "@preact/signals";

const TEXTS = {
    title: ["Go's collector", "Go 垃圾回收器"],
    stdin: ["standard input", "标准输入"],
    connecting: ["connecting", "正在连接"],
    live: ["live", "实时"],
    lost: ["connection lost", "连接已断开"],
    refused: ["refused", "被拒绝"],
    ended: ["ended, exit code {code}", "已结束，退出码 {code}"],
    endedHint: [
        "The program has ended. The picture stays as long as this page is open.",
        "程序已结束。只要此页面打开，图表就会保留。",
    ],
    nothing: ["No collection yet.", "尚无垃圾回收。"],
    collections: ["collections", "回收次数"],
    forced: ["forced", "强制"],
    pauses: ["pause p50 / p95 / max", "停顿 p50 / p95 / 最大"],
    share: ["GC CPU", "GC CPU"],
    liveHeap: ["live heap", "存活堆"],
    goal: ["goal", "目标"],
    trend: ["live heap is", "存活堆趋势"],
    growing: ["growing, {rate}", "增长，{rate}"],
    shrinking: ["shrinking, {rate}", "缩小，{rate}"],
    steady: ["steady", "平稳"],
    several: ["not told of {n} programs", "{n} 个程序，无法给出"],
    unknown: ["too soon to tell", "时间太短，无法判断"],
    heapChart: ["Heap", "堆"],
    pauseChart: ["Pauses, the longest of each collection or group", "停顿（每次或每组回收中最长者）"],
    shareChart: ["CPU time spent in collection since the start, %", "自启动以来用于回收的 CPU 时间，%"],
    start: ["at start", "开始时"],
    end: ["at end", "结束时"],
    sys: ["from the system", "取自系统"],
    released: ["given back", "已归还"],
    pause: ["pause", "停顿"],
    mark: [
        "Dashed marks: collections that were forced; of many close together, some.",
        "虚线标记：强制触发的回收；密集时只画出一部分。",
    ],
    grouped: [
        "A point stands for {n} collections: of pauses and sizes the largest, of the live heap the smallest.",
        "每个点代表 {n} 次回收：停顿和大小取最大值，存活堆取最小值。",
    ],
    since: ["seconds since the start", "自启动以来的秒数"],
    token: ["A token is asked for", "需要令牌"],
    tokenLabel: ["Token", "令牌"],
    send: ["Send", "提交"],
    language: ["中文", "English"],
} as const satisfies Record<string, readonly [string, string]>;

export type TextKey = keyof typeof TEXTS;

export const chinese = signal((globalThis.navigator?.languages?.[0] ?? "").startsWith("zh"));

export function t(key: TextKey, values: Record<string, string | number> = {}): string {
    const text = TEXTS[key][chinese.value ? 1 : 0];
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
