// What is listed and how: filter, kinds, groups, and the order where there are no heads to press.
import type { RefObject } from "preact";
import { type Filter, type FilterError, withKind } from "../../filter.ts";
import { GROUPINGS, grouping } from "../../group.ts";
import { t } from "../../i18n/index.ts";
import { SORT_COLUMNS, sortColumn, type SortColumn } from "../../sort.ts";
import { go, view } from "../../state/url.ts";
import { reverseSort } from "./head.tsx";

function errorText(error: FilterError): string {
    return t(`filter.${error.code}`, { what: error.what, known: error.known.join(" ") });
}

const EXAMPLES = [
    [`web "two words"`, "filterHelp.words"],
    ["-cache -state:ok", "filterHelp.not"],
    ["image:nginx pod:shop runtime:docker", "filterHelp.fields"],
    ["compose:shop slice:/docker path:4f2a", "filterHelp.fields"],
    ["label:tier label:tier=front", "filterHelp.labels"],
    ["state:high,at-limit", "filterHelp.several"],
    ["kind:service kind:any", "filterHelp.kind"],
    ["web*front", "filterHelp.star"],
] as const;

function FilterField(props: {
    filter: Filter;
    input: RefObject<HTMLInputElement | null>;
    leave(intoList: boolean): void;
}) {
    const errors = props.filter.errors.map(errorText);
    return (
        <div class="filter-box">
            <input
                ref={props.input}
                type="search"
                class="filter"
                data-testid="filter"
                aria-label={t("overview.filter")}
                aria-describedby="filter-help filter-error"
                aria-invalid={errors.length > 0}
                aria-keyshortcuts="/"
                placeholder={t("overview.filterHint")}
                spellcheck={false}
                autocomplete="off"
                autocapitalize="off"
                value={view.value.q}
                onInput={(event) => go({ q: event.currentTarget.value }, true)}
                onKeyDown={(event) => {
                    if (
                        event.key === "Escape" ||
                        event.key === "Enter" ||
                        event.key === "ArrowDown"
                    ) {
                        event.preventDefault();
                        props.leave(event.key !== "Escape");
                    }
                }}
            />
            <kbd class="filter-key" aria-hidden="true">
                /
            </kbd>
            <dl id="filter-help" class="filter-help">
                {EXAMPLES.map(([example, text]) => (
                    <div key={example}>
                        <dt>
                            <code>{example}</code>
                        </dt>
                        <dd>{t(text)}</dd>
                    </div>
                ))}
            </dl>
            <p
                id="filter-error"
                class="filter-error"
                data-testid="filter-error"
                role="status"
                hidden={errors.length === 0}
            >
                {errors.join(" ")}
            </p>
        </div>
    );
}

const SHOWN = [
    ["", "show.workloads"],
    ["service", "show.services"],
    ["any", "show.any"],
] as const;

function ShowSelect() {
    const words = /(?:^|\s)kind:(\S*)/i.exec(view.value.q);
    const asked = words?.[1]?.toLowerCase() ?? "";
    const known = SHOWN.some(([kind]) => kind === asked);
    return (
        <label>
            <span class="soft">{t("overview.show")}</span>{" "}
            <select
                data-testid="show"
                value={known ? asked : "other"}
                onChange={(event) =>
                    go({ q: withKind(view.value.q, event.currentTarget.value) }, true)
                }
            >
                {SHOWN.map(([kind, text]) => (
                    <option key={kind} value={kind}>
                        {t(text)}
                    </option>
                ))}
                {!known && (
                    <option value="other" disabled>
                        {t("show.asked")}
                    </option>
                )}
            </select>
        </label>
    );
}

function GroupSelect() {
    return (
        <label>
            <span class="soft">{t("overview.groupBy")}</span>{" "}
            <select
                data-testid="group-by"
                value={grouping(view.value.group) ?? ""}
                onChange={(event) => go({ group: event.currentTarget.value }, true)}
            >
                <option value="">{t("group.none")}</option>
                {GROUPINGS.map((one) => (
                    <option key={one} value={one}>
                        {t(`group.${one}`)}
                    </option>
                ))}
            </select>
        </label>
    );
}

function SortSelect() {
    return (
        <span class="sort-select">
            <label>
                <span class="soft">{t("overview.sortBy")}</span>{" "}
                <select
                    data-testid="sort-by"
                    value={sortColumn(view.value.sort).id}
                    onChange={(event) => {
                        const id = event.currentTarget.value as SortColumn;
                        go({ sort: id, desc: sortColumn(id).desc }, true);
                    }}
                >
                    {SORT_COLUMNS.map(({ id }) => (
                        <option key={id} value={id}>
                            {t(`col.${id}`)}
                        </option>
                    ))}
                </select>
            </label>
            <button
                type="button"
                class="plain"
                aria-label={t("overview.reverse")}
                aria-pressed={!view.value.desc}
                onClick={reverseSort}
            >
                <span aria-hidden="true">{view.value.desc ? "▼" : "▲"}</span>
            </button>
        </span>
    );
}

export function Toolbar(props: {
    filter: Filter;
    shown: number;
    all: number;
    input: RefObject<HTMLInputElement | null>;
    leave(intoList: boolean): void;
}) {
    return (
        <div class="toolbar">
            <h1>{t("overview.title")}</h1>
            <span class="count soft" data-testid="count" role="status">
                {t("overview.count", { shown: props.shown, all: props.all })}
            </span>
            <FilterField filter={props.filter} input={props.input} leave={props.leave} />
            <ShowSelect />
            <GroupSelect />
            <SortSelect />
        </div>
    );
}
