// The head of a group: what its rows come to. Pressing it hides and shows them.
import { StatePill } from "../../components/state.tsx";
import { UNKNOWN, bytes, count, exactBytes, visible } from "../../format.ts";
import type { Group } from "../../group.ts";
import { t, tMaybe } from "../../i18n/index.ts";
import { view } from "../../state/url.ts";
import { defined, type DefinedAttributes } from "../tip.tsx";

function limitsTip(group: Group): DefinedAttributes {
    const words = [exactBytes(group.limits), t("group.limits")];
    if (group.unlimited > 0) words.push(t("group.plus", { n: group.unlimited }));
    return { "data-metric": "limit", "data-exact": words.join("; ") };
}

function limitsText(group: Group): string {
    if (group.limits === null) return group.unlimited > 0 ? t("limit.none") : UNKNOWN;
    return bytes(group.limits) + (group.unlimited > 0 ? " +" : "");
}

export function GroupLine(props: {
    id: string;
    group: Group;
    index: number;
    open: boolean;
    selected: boolean;
    toggle(id: string): void;
}) {
    const { id, group, open } = props;
    const name =
        group.name === null ? tMaybe(`group.in.${view.value.group}`, "") : visible(group.name);
    return (
        <div
            role="row"
            class={`group${props.selected ? " selected" : ""}`}
            data-testid="group"
            data-name={group.name ?? ""}
            data-id={id}
            aria-rowindex={props.index}
            aria-current={props.selected ? "true" : undefined}
        >
            <div role="rowheader" class="c-head">
                <button
                    type="button"
                    class="fold"
                    aria-expanded={open}
                    onClick={() => props.toggle(id)}
                >
                    <span class="arrow" aria-hidden="true" />
                    <bdi class="group-name">{name}</bdi>{" "}
                    <span class="soft">({group.rows.length})</span>
                </button>
            </div>
            <div
                role="cell"
                class="c-used num"
                data-label={t("col.used")}
                {...defined("used", group.used)}
            >
                {bytes(group.used)}
            </div>
            <div role="cell" class="c-limit num" data-label={t("col.limit")} {...limitsTip(group)}>
                {limitsText(group)}
            </div>
            <div
                role="cell"
                class={`c-ooms num${group.ooms ? " killed" : " nil"}`}
                data-label={t("col.ooms")}
                {...defined("oom_kills_total")}
            >
                {count(group.ooms)}
            </div>
            <div
                role="cell"
                class={`c-restarts num${group.restarts ? "" : " nil"}`}
                data-label={t("col.restarts")}
                {...defined("restarts")}
            >
                {count(group.restarts)}
            </div>
            <div role="cell" class="c-state">
                <StatePill word={group.worst} />
            </div>
        </div>
    );
}
