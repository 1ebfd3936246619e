// Lines do not run away from under the pointer: while it moves over them, their order is kept.
import type { Item } from "./items.ts";

const CALM_MS = 1500;

export class Calm {
    private until = 0;
    private view = ""; // how the list is filtered and sorted
    private order = new Map<string, number>();

    /** The pointer moved over the lines. */
    touch(nowMs: number): void {
        this.until = nowMs + CALM_MS;
    }

    /** The items, in the order of last time while that is kept. Other words or another column end it,
     * and so do lines that are new. */
    keep(items: readonly Item[], view: string, nowMs: number): readonly Item[] {
        const calm =
            nowMs < this.until &&
            view === this.view &&
            items.every((item) => this.order.has(item.id));
        const at = (item: Item): number => this.order.get(item.id) ?? 0;
        const kept = calm ? [...items].sort((a, b) => at(a) - at(b)) : items;
        this.view = view;
        if (!calm) this.order = new Map(kept.map((item, i) => [item.id, i]));
        return kept;
    }
}
