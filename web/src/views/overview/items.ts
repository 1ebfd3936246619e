// What the list shows, line after line: rows, and the heads of groups.
import type { Row } from "../../api/types.ts";
import { groupRows, grouping, type Group } from "../../group.ts";
import { sortColumn, sortRows } from "../../sort.ts";

export type Item = { id: string; row: Row; group: null } | { id: string; row: null; group: Group };

/** The same for one thing when it is made again. Two that bear one key for a moment are told apart. */
function rowItems(rows: readonly Row[], seen: Set<string>): Item[] {
    return rows.map((row) => {
        const id = seen.has(row.key) ? `${row.key}#${row.uid}` : row.key;
        seen.add(id);
        return { id, row, group: null };
    });
}

export function groupId(name: string | null): string {
    return name === null ? "group" : `group ${name}`;
}

/** `closed`: the ids of groups whose rows are hidden. */
export function itemsOf(
    rows: readonly Row[],
    order: { sort: string; desc: boolean; group: string },
    closed: ReadonlySet<string>,
): Item[] {
    const column = sortColumn(order.sort).id;
    const sorted = sortRows(rows, column, order.desc);
    const by = grouping(order.group);
    const seen = new Set<string>();
    if (!by) return rowItems(sorted, seen);
    return groupRows(sorted, by, column, order.desc).flatMap((group): Item[] => {
        const id = groupId(group.name);
        const head: Item = { id, row: null, group };
        return closed.has(id) ? [head] : [head, ...rowItems(group.rows, seen)];
    });
}
