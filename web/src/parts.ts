// A target's usage as parts that do not overlap and add up to it: the same as src/model/parts.c,
// tested with the same fixture. The kernel's counters overlap and are not read at one moment; what
// none of them tells is "other", and where they tell more than usage, what can be reclaimed is
// believed first.

export type PartId =
    "anon" | "shmem" | "kernel" | "other" | "slab" | "active_file" | "inactive_file";
export type Parts = Record<PartId, number>;

export interface PartInfo {
    id: PartId;
    reclaimable: boolean;
    colour: string; // a variable of style.css
    metric: string | null; // the counter that it comes from
}

/** In the order they are stacked: what stays first, what can be reclaimed last. */
export const PARTS: readonly PartInfo[] = [
    { id: "anon", reclaimable: false, colour: "--part-anon", metric: "anon" },
    { id: "shmem", reclaimable: false, colour: "--part-shmem", metric: "shmem" },
    { id: "kernel", reclaimable: false, colour: "--part-kernel", metric: "kernel" },
    { id: "other", reclaimable: false, colour: "--part-other", metric: null },
    { id: "slab", reclaimable: true, colour: "--part-slab", metric: "slab_reclaimable" },
    { id: "active_file", reclaimable: true, colour: "--part-active", metric: "active_file" },
    { id: "inactive_file", reclaimable: true, colour: "--part-inactive", metric: "inactive_file" },
];

/** The counters that partsOf reads. */
export const PART_METRICS = [
    "usage",
    "anon",
    "shmem",
    "kernel",
    "sock",
    "slab_reclaimable",
    "active_file",
    "inactive_file",
] as const;

export type PartMetric = (typeof PART_METRICS)[number];
export type Counters = Partial<Record<PartMetric, number | null>>;

/** Null when usage is not known. A part whose counter is unknown is 0 and ends up in "other". */
export function partsOf(counters: Counters): Parts | null {
    const { usage } = counters;
    if (usage === null || usage === undefined) return null;
    let left = usage;
    const take = (bytes: number): number => {
        const taken = Math.min(Math.max(bytes, 0), left);
        left -= taken;
        return taken;
    };
    const slabCounter = counters.slab_reclaimable ?? 0;
    const inactive_file = take(counters.inactive_file ?? 0);
    const active_file = take(counters.active_file ?? 0);
    const slab = take(slabCounter);
    const kernel = take(Math.max((counters.kernel ?? 0) - slabCounter, 0) + (counters.sock ?? 0));
    const shmem = take(counters.shmem ?? 0);
    const anon = take(counters.anon ?? 0);
    return { anon, shmem, kernel, other: left, slab, active_file, inactive_file };
}

/** What stays when all that can be has been reclaimed: the sum of the other parts. */
export function staysOf(parts: Parts): number {
    return PARTS.reduce((sum, part) => sum + (part.reclaimable ? 0 : parts[part.id]), 0);
}

export function reclaimableOf(parts: Parts): number {
    return PARTS.reduce((sum, part) => sum + (part.reclaimable ? parts[part.id] : 0), 0);
}
