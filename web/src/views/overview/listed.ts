// Which targets the list is about, before the filter's words: what people start and name.
import type { Row } from "../../api/types.ts";
import { type Filter, namesKinds, parentOf } from "../../filter.ts";
import { isHost, isWorkload } from "../../state/rows.ts";

/** "asked": the filter names kinds itself. The others: the first of which there are any. */
export type Listing = "asked" | "workloads" | "services" | "groups" | "nothing";

function isService(row: Row): boolean {
    return (row.kind === "service" || row.kind === "session") && row.inside === null;
}

/** Plain groups that hold no other: those above them count the same memory again. */
function leafGroups(rows: readonly Row[]): Row[] {
    const parents = new Set(rows.map((row) => parentOf(row.cgroup)));
    return rows.filter(
        (row) =>
            row.kind === "group" && !isHost(row) && row.inside === null && !parents.has(row.cgroup),
    );
}

export function listed(
    rows: readonly Row[],
    filter: Filter,
): { rows: readonly Row[]; listing: Listing } {
    if (namesKinds(filter)) return { rows: rows.filter((row) => !isHost(row)), listing: "asked" };
    const workloads = rows.filter(isWorkload);
    if (workloads.length > 0) return { rows: workloads, listing: "workloads" };
    const services = rows.filter(isService);
    if (services.length > 0) return { rows: services, listing: "services" };
    const groups = leafGroups(rows);
    return { rows: groups, listing: groups.length > 0 ? "groups" : "nothing" };
}
