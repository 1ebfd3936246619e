// How a row is laid out depends on the width; its height is fixed, so that only the rows in sight
// need to be made.
import { signal } from "@preact/signals";

export type Layout = "table" | "lines" | "cards";

/** In px: of a row, of a group's head. The sheet takes them from here. */
export const HEIGHTS: Record<Layout, { row: number; group: number }> = {
    table: { row: 34, group: 34 },
    lines: { row: 62, group: 40 },
    cards: { row: 106, group: 60 },
};

const WIDE = "(min-width: 1180px)";
const MIDDLE = "(min-width: 680px)";

function fits(query: string): boolean {
    return globalThis.matchMedia?.(query).matches ?? true;
}

function current(): Layout {
    return fits(WIDE) ? "table" : fits(MIDDLE) ? "lines" : "cards";
}

export const layout = signal<Layout>(current());

for (const query of [WIDE, MIDDLE])
    globalThis.matchMedia?.(query).addEventListener("change", () => (layout.value = current()));
