// The list of containers: what is listed, in which order, and the keys that move in it.
import { useCallback, useEffect, useMemo, useRef } from "preact/hooks";
import { matches, parseFilter } from "../filter.ts";
import { GROUPINGS, grouping, isUnlimited } from "../group.ts";
import { offerKeys } from "../keys.ts";
import { openScale, takenByOthers } from "../limitbar.ts";
import { about } from "../state/app.ts";
import { allRows, hostRow } from "../state/rows.ts";
import { go, view } from "../state/url.ts";
import { Calm } from "./overview/calm.ts";
import { Empty } from "./overview/empty.tsx";
import { nextSort, reverseSort } from "./overview/head.tsx";
import { itemsOf, type Item } from "./overview/items.ts";
import { HEIGHTS, layout } from "./overview/layout.ts";
import { Legend } from "./overview/legend.tsx";
import { DEFAULT_ALERT_PCT, List } from "./overview/list.tsx";
import { listed } from "./overview/listed.ts";
import {
    closedGroups,
    followAgain,
    moveSelection,
    select,
    selected,
    useSelection,
} from "./overview/selection.ts";
import { useSparks } from "./overview/sparks.ts";
import { Toolbar } from "./overview/toolbar.tsx";
import "./overview.css";

function nextGrouping(): void {
    const now = grouping(view.value.group);
    const at = now === null ? -1 : GROUPINGS.indexOf(now);
    go({ group: GROUPINGS[at + 1] ?? "" }, true);
}

function topIn(items: readonly Item[], index: number): [number, number] {
    const { row, group } = HEIGHTS[layout.value];
    const heightOf = (item: Item | undefined): number => (item?.row ? row : group);
    const top = items.slice(0, index).reduce((sum, item) => sum + heightOf(item), 0);
    return [top, heightOf(items[index])];
}

export function Overview() {
    const { q, sort, desc, group } = view.value;
    const closed = closedGroups;
    const input = useRef<HTMLInputElement>(null);
    const filter = useMemo(() => parseFilter(q), [q]);
    const all = listed(allRows.value, filter);
    const shown = all.rows.filter((row) => matches(filter, row));
    const calm = useRef(new Calm()).current;
    const sorted = itemsOf(shown, { sort, desc, group }, closed.value);
    const items = calm.keep(sorted, [q, sort, desc, group].join("\n"), performance.now());
    const current = useRef(items);
    current.current = items;
    const open = openScale(all.rows, hostRow.value?.limit ?? null);

    const toggle = useCallback((id: string) => {
        const next = new Set(closed.value);
        if (!next.delete(id)) next.add(id);
        closed.value = next;
    }, []);
    const openSelected = (): void => {
        const item = current.current.find((one) => one.id === selected.value);
        if (item?.row) go({ name: "container", key: item.row.key });
        else if (item) toggle(item.id);
    };
    useEffect(
        () =>
            offerKeys([
                {
                    keys: ["/"],
                    shown: "/",
                    help: "keys.filter",
                    run: () => input.current?.select(),
                },
                {
                    keys: ["j", "ArrowDown"],
                    shown: "j ↓",
                    help: "keys.down",
                    run: () => moveSelection(current.current, 1),
                },
                {
                    keys: ["k", "ArrowUp"],
                    shown: "k ↑",
                    help: "keys.up",
                    run: () => moveSelection(current.current, -1),
                },
                { keys: ["Enter"], shown: "Enter", help: "keys.open", run: openSelected },
                { keys: ["s"], shown: "s", help: "keys.sort", run: nextSort },
                { keys: ["S"], shown: "S", help: "keys.reverse", run: reverseSort },
                {
                    keys: ["g", "Home"],
                    shown: "g Home",
                    help: "keys.first",
                    run: () => moveSelection(current.current, -Infinity),
                },
                {
                    keys: ["G", "End"],
                    shown: "G End",
                    help: "keys.last",
                    run: () => moveSelection(current.current, Infinity),
                },
                { keys: ["p"], shown: "p", help: "keys.group", run: nextGrouping },
            ]),
        [],
    );
    useMemo(followAgain, []);
    useSparks(all.rows);
    useSelection(items, (index) => topIn(items, index));

    const leaveFilter = (intoList: boolean): void => {
        input.current?.blur();
        if (intoList && !items.some((item) => item.id === selected.value)) select(null);
        if (intoList) moveSelection(items, selected.value === null ? 1 : 0);
    };
    return (
        <div class="overview">
            <Toolbar
                filter={filter}
                shown={shown.length}
                all={all.rows.length}
                input={input}
                leave={leaveFilter}
            />
            <Legend
                alertPct={about.value?.marks.alert_pct ?? DEFAULT_ALERT_PCT}
                open={open}
                anyOpen={shown.some(isUnlimited)}
                anyTaken={shown.some((row) => !isUnlimited(row) && takenByOthers(row) > 0)}
            />
            <Empty listing={all.listing} shown={shown.length} all={all.rows.length} />
            {items.length > 0 && (
                <List
                    items={items}
                    open={open}
                    selected={selected.value}
                    closed={closed.value}
                    select={select}
                    toggle={toggle}
                    touched={() => calm.touch(performance.now())}
                />
            )}
        </div>
    );
}
