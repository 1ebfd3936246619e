// What stands where no rows are, and what to do about it.
import { moment } from "../../format.ts";
import { t } from "../../i18n/index.ts";
import { about, link, pastError } from "../../state/app.ts";
import { liveAt, pastRows } from "../../state/rows.ts";
import { go, goLive, shownAt, view } from "../../state/url.ts";
import type { Listing } from "./listed.ts";

export const START_COMMAND = "plimsoll run -m 60M -- COMMAND";

function noneThen(): string {
    const oldest = about.value?.oldest_ms ?? null;
    const before = oldest !== null && (shownAt.value ?? oldest) < oldest;
    return before ? t("empty.pastBefore", { moment: moment(oldest) }) : t("empty.pastNone");
}

function Past() {
    return (
        <div class="card empty" data-testid="empty">
            <h2>{t("empty.past")}</h2>
            <p>{pastError.value ?? noneThen()}</p>
            <button type="button" onClick={goLive}>
                {t("link.toLive")}
            </button>
        </div>
    );
}

function NoneStarted(props: { listing: Listing }) {
    return (
        <div class="card empty" data-testid="empty">
            <h2>{t("empty.none")}</h2>
            <p>
                {t("empty.start")} <code>{START_COMMAND}</code>
            </p>
            {props.listing === "services" && <p class="soft">{t("empty.services")}</p>}
            {props.listing === "groups" && <p class="soft">{t("empty.groups")}</p>}
        </div>
    );
}

function Filtered(props: { all: number }) {
    return (
        <div class="card empty" data-testid="empty">
            <h2>{props.all === 0 ? t("empty.kind") : t("empty.filter")}</h2>
            {props.all > 0 && <p>{t("empty.filterText", { all: props.all })}</p>}
            <button type="button" data-testid="clear-filter" onClick={() => go({ q: "" }, true)}>
                {t("overview.clear")}
            </button>
        </div>
    );
}

/** Above the rows, or instead of them; nothing where all is well. */
export function Empty(props: { listing: Listing; shown: number; all: number }) {
    const past = shownAt.value !== null;
    if (past && pastError.value !== null) return <Past />;
    const loading = past ? pastRows.value === null : liveAt.value === null;
    if (loading) {
        const lost = !past && (link.value.state === "lost" || link.value.state === "refused");
        return lost ? null : <p class="soft loading">{t("common.loading")}</p>;
    }
    if (props.shown === 0 && view.value.q !== "" && (props.all > 0 || props.listing === "asked"))
        return <Filtered all={props.all} />;
    if (past && props.all === 0) return <Past />;
    if (props.listing === "workloads" || props.listing === "asked") return null;
    return <NoneStarted listing={props.listing} />;
}
