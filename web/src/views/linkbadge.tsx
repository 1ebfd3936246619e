// How the connection is: always visible, in words.
import { t } from "../i18n/index.ts";
import { duration, moment } from "../format.ts";
import { link, now, quietMs, togglePause } from "../state/app.ts";
import { liveAt } from "../state/rows.ts";
import { goLive, shownAt } from "../state/url.ts";

function text(): string {
    const { state, error, since } = link.value;
    const quiet = quietMs.value;
    if (quiet !== null) return t("link.quiet", { age: duration(quiet / 1000) });
    if (state === "live") return t("link.live");
    if (state === "refused") return t("link.refused", { error: error ?? "" });
    if (state === "lost") return t("link.lost", { age: duration((now.value - (liveAt.value ?? since)) / 1000) });
    return t("link.connecting");
}

export function LinkBadge() {
    const at = shownAt.value;
    return (
        <div class={`link link-${quietMs.value === null ? link.value.state : "quiet"}`} data-testid="link">
            <span role="status">
                <span class="dot" aria-hidden="true" /> {text()}
            </span>
            {at === null ? (
                <button type="button" class="plain" data-testid="pause" onClick={togglePause}>
                    {t("link.pause")}
                </button>
            ) : (
                <>
                    <span class="past" data-testid="shown-at">
                        {t("link.past", { moment: moment(at) })}
                    </span>
                    <button type="button" data-testid="to-live" onClick={goLive}>
                        {t("link.toLive")}
                    </button>
                </>
            )}
        </div>
    );
}
