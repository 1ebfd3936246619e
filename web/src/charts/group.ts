// What charts below one another share: the span, the cursor, the pinned moment and the marks.
import { computed, signal, type ReadonlySignal } from "@preact/signals";
import { nearest } from "./table.ts";
import { groupsOf, type Mark, type MarkGroup } from "./marks.ts";

export interface Span {
    from_ms: number;
    to_ms: number;
}

/** Left of the plotting area are the numbers of its axis; the same in all, so that times align. */
export const AXIS_PX = 58;
export const RIGHT_PX = 14;
const MARK_PX = 24;

let groups = 0;

export interface GroupOptions {
    span: ReadonlySignal<Span>;
    marks: ReadonlySignal<readonly Mark[]>;
    gravity: readonly string[]; // kinds of marks, the gravest first
    zoom: (from_ms: number, to_ms: number) => void;
    zoomOut: () => void;
}

export class ChartGroup {
    readonly name = `charts-${++groups}`;
    readonly hover = signal<number | null>(null);
    readonly pinned = signal<number | null>(null);
    readonly width = signal(800);
    private readonly options: GroupOptions;

    constructor(options: GroupOptions) {
        this.options = options;
    }

    get span(): ReadonlySignal<Span> {
        return this.options.span;
    }

    /** The moment that numbers are shown of; null: the last. */
    readonly moment = computed(() => this.hover.value ?? this.pinned.value);

    /** Those in the span. */
    readonly markGroups = computed<readonly MarkGroup[]>(() => {
        const { from_ms, to_ms } = this.span.value;
        const plot = Math.max(1, this.width.value - AXIS_PX - RIGHT_PX);
        const shown = this.options.marks.value.filter(({ at }) => at >= from_ms && at <= to_ms);
        return groupsOf(shown, ((to_ms - from_ms) * MARK_PX) / plot, this.options.gravity);
    });

    zoom(from_ms: number, to_ms: number): void {
        this.pinned.value = null;
        this.options.zoom(from_ms, to_ms);
    }

    zoomOut(): void {
        this.pinned.value = null;
        this.options.zoomOut();
    }

    /** The same moment again lets it go. */
    pin(ms: number | null): void {
        this.pinned.value = ms === this.pinned.value ? null : ms;
    }

    /** The pinned moment goes on by rows; from the last, where none is pinned. */
    step(at: readonly number[], rows: number): void {
        const row = this.pinned.value === null ? at.length - 1 : nearest(at, this.pinned.value);
        if (row === null || row < 0) return;
        this.pinned.value = at[Math.min(Math.max(row + rows, 0), at.length - 1)] ?? null;
    }
}
