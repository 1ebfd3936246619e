// The lines in sight, under their heads.
import { t } from "../../i18n/index.ts";
import { about } from "../../state/app.ts";
import { shownAt } from "../../state/url.ts";
import { GroupLine } from "./grouphead.tsx";
import { Head } from "./head.tsx";
import type { Item } from "./items.ts";
import { HEIGHTS, layout } from "./layout.ts";
import { RowLine, lineLanguage } from "./row.tsx";
import { sparkSpan, sparks } from "./sparks.ts";
import { topsOf, useWindow } from "./virtual.ts";

export const DEFAULT_ALERT_PCT = 90; // until the agent has told it

export function List(props: {
    items: readonly Item[];
    open: number | null;
    selected: string | null;
    closed: ReadonlySet<string>;
    select(id: string): void;
    toggle(id: string): void;
    touched(): void; // the pointer moved over the lines
}) {
    const { items, selected } = props;
    const heights = HEIGHTS[layout.value];
    const tops = topsOf(items.map((item) => (item.row ? heights.row : heights.group)));
    const { window, body } = useWindow(tops);
    const alertPct = about.value?.marks.alert_pct ?? DEFAULT_ALERT_PCT;
    const span = sparkSpan();
    const height = tops[items.length] ?? 0;
    return (
        <div
            role="table"
            class={`list list-${layout.value}`}
            aria-label={t("overview.list")}
            aria-rowcount={items.length + 1}
            style={{ "--row-height": `${heights.row}px`, "--group-height": `${heights.group}px` }}
        >
            <Head span={span} />
            <div
                role="rowgroup"
                ref={body}
                class="lines"
                onPointerMove={props.touched}
                style={{
                    paddingTop: `${tops[window.first] ?? 0}px`,
                    paddingBottom: `${Math.max(0, height - (tops[window.end] ?? height))}px`,
                }}
            >
                {items.slice(window.first, window.end).map((item, i) => {
                    const index = window.first + i + 2;
                    return item.row ? (
                        <RowLine
                            key={item.id}
                            id={item.id}
                            row={item.row}
                            index={index}
                            curve={
                                item.row.series === null
                                    ? undefined
                                    : sparks.value.get(item.row.series)
                            }
                            span={span}
                            alertPct={alertPct}
                            open={props.open}
                            selected={item.id === selected}
                            live={shownAt.value === null}
                            address={location.hash}
                            lang={lineLanguage()}
                            select={props.select}
                        />
                    ) : (
                        <GroupLine
                            key={item.id}
                            id={item.id}
                            group={item.group}
                            index={index}
                            open={!props.closed.has(item.id)}
                            selected={item.id === selected}
                            toggle={props.toggle}
                        />
                    );
                })}
            </div>
        </div>
    );
}
