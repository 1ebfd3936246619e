// The columns' heads, which sort.
import { t } from "../../i18n/index.ts";
import { SORT_COLUMNS, sortColumn, type SortColumn } from "../../sort.ts";
import { go, view } from "../../state/url.ts";
import { defined } from "../tip.tsx";

export function sortBy(id: SortColumn): void {
    const now = sortColumn(view.value.sort).id;
    go({ sort: id, desc: now === id ? !view.value.desc : sortColumn(id).desc }, true);
}

/** `s`: the next column; `S`: the other way round. */
export function nextSort(): void {
    const at = SORT_COLUMNS.findIndex((column) => column.id === sortColumn(view.value.sort).id);
    const next = SORT_COLUMNS[(at + 1) % SORT_COLUMNS.length];
    if (next) go({ sort: next.id, desc: next.desc }, true);
}

export function reverseSort(): void {
    go({ desc: !view.value.desc }, true);
}

/** What a column shows, by the key of a row. */
const SHOWS: Record<SortColumn, string | null> = {
    name: null,
    runtime: "runtime",
    pct: "used_pct",
    used: "used",
    limit: "limit",
    trend: "trend_bytes_per_h",
    ttl: "time_to_limit_s",
    psi: "psi_some_avg10",
    ooms: "oom_kills_total",
    restarts: "restarts",
    state: "state",
};

function SortHead(props: { id: SortColumn; class: string }) {
    const { id } = props;
    const current = sortColumn(view.value.sort).id === id;
    const order = current ? (view.value.desc ? "descending" : "ascending") : "none";
    const shows = SHOWS[id];
    return (
        <div role="columnheader" class={`c-${props.class}`} aria-sort={order}>
            <button
                type="button"
                data-testid={`sort-${id}`}
                {...(shows ? defined(shows) : {})}
                onClick={() => sortBy(id)}
            >
                {t(`col.${id}`)}
                <span class="order" aria-hidden="true">
                    {current ? (view.value.desc ? "▼" : "▲") : ""}
                </span>
            </button>
        </div>
    );
}

export function Head(props: { span: string }) {
    return (
        <div role="rowgroup" class="head">
            <div role="row" aria-rowindex={1} class="head-row">
                <SortHead id="name" class="name" />
                <SortHead id="runtime" class="runtime" />
                <div role="columnheader" class="c-spark" {...defined("spark")}>
                    {t("col.spark", { window: props.span })}
                </div>
                <SortHead id="pct" class="bar" />
                <SortHead id="used" class="used" />
                <SortHead id="limit" class="limit" />
                <SortHead id="trend" class="trend" />
                <SortHead id="ttl" class="ttl" />
                <SortHead id="psi" class="psi" />
                <SortHead id="ooms" class="ooms" />
                <SortHead id="restarts" class="restarts" />
                <SortHead id="state" class="state" />
            </div>
        </div>
    );
}
