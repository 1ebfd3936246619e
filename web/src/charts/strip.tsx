// The marks above a plot as symbols that can be pointed at and pressed: what happened then.
import { useSignal } from "@preact/signals";
import { EventSymbol, kindName } from "../components/event.tsx";
import { moment } from "../format.ts";
import { t } from "../i18n/index.ts";
import type { ChartGroup } from "./group.ts";
import { countOf, type MarkGroup } from "./marks.ts";

const MOST_LINES = 6;

function labelOf(group: MarkGroup): string {
    const lines = group.marks.slice(0, MOST_LINES).map(({ at, text }) => `${moment(at)} ${text}`);
    if (group.marks.length > MOST_LINES)
        lines.push(t("chart.moreMarks", { n: group.marks.length - MOST_LINES }));
    return lines.join("\n");
}

export function MarkStrip(props: { group: ChartGroup }) {
    const shown = useSignal<number | null>(null);
    const { from_ms, to_ms } = props.group.span.value;
    const left = (at: number): number => ((at - from_ms) / (to_ms - from_ms)) * 100;
    const groups = props.group.markGroups.value;
    const open = groups.find(({ at }) => at === shown.value);
    return (
        <div class="strip" role="group" aria-label={t("chart.marks")}>
            {groups.map((group) => (
                <button
                    key={`${group.kind}${group.at}`}
                    type="button"
                    class="strip-mark"
                    data-testid="mark"
                    data-kind={group.kind}
                    data-at={group.at}
                    data-count={countOf(group)}
                    style={{ left: `${left(group.at)}%` }}
                    onPointerEnter={() => (shown.value = group.at)}
                    onPointerLeave={() => (shown.value = null)}
                    onFocus={() => (shown.value = group.at)}
                    onBlur={() => (shown.value = null)}
                    onClick={() => props.group.pin(group.at)}
                >
                    <EventSymbol kind={group.kind} />
                    <span class="unseen">{labelOf(group)}</span>
                    {countOf(group) > 1 && <sub aria-hidden="true">{countOf(group)}</sub>}
                </button>
            ))}
            {open && (
                <div
                    class="strip-tip"
                    aria-hidden="true"
                    style={
                        left(open.at) > 55
                            ? { right: `${100 - left(open.at)}%` }
                            : { left: `${left(open.at)}%` }
                    }
                >
                    <b>{kindName(open.kind)}</b>
                    {labelOf(open)
                        .split("\n")
                        .map((line, i) => (
                            <div key={i}>{line}</div>
                        ))}
                </div>
            )}
        </div>
    );
}
