// The limit bar: solid what is used, hatched what can be reclaimed, a line with a ring where the
// alert is, a dashed line at memory.high. Its end is the limit.
import type { Row } from "../api/types.ts";
import { bytes } from "../format.ts";
import { t } from "../i18n/index.ts";
import { limitBar, takenByOthers, type LimitBar } from "../limitbar.ts";
import { defined } from "../views/tip.tsx";

const pct = (share: number): string => `${Math.round(share * 1e4) / 100}%`;

/** The bar in words. */
export function barWords(row: Row, bar: LimitBar | null, alertPct: number): string {
    if (!bar) return t("bar.unknown");
    const free = bytes(bar.reclaimableBytes);
    const used = bytes(row.used);
    if (bar.open)
        return t("bar.open", { used, free, machine: bytes(row.limit), scale: bytes(bar.scale) });
    const words = [
        t("bar.used", { used, limit: bytes(row.limit) }),
        t("bar.reclaimable", { free }),
    ];
    words.push(t("bar.alert", { pct: alertPct }));
    if (bar.others > 0) words.push(t("bar.others", { taken: bytes(takenByOthers(row)) }));
    if (bar.high !== null) words.push(t("bar.high", { high: bytes(row.high) }));
    return words.join(t("bar.and"));
}

export function Bar(props: { bar: LimitBar | null }) {
    const { bar } = props;
    if (!bar) return <span class="bar bar-unknown" />;
    return (
        <span class={bar.open ? "bar bar-open" : "bar"}>
            {bar.reclaimable > 0 && (
                <i
                    class="bar-reclaimable"
                    style={{ left: pct(bar.used), width: pct(bar.reclaimable) }}
                />
            )}
            <i class="bar-used" style={{ width: pct(bar.used) }} />
            {bar.others > 0 && <i class="bar-others" style={{ width: pct(bar.others) }} />}
            {bar.high !== null && <i class="bar-high" style={{ left: pct(bar.high) }} />}
            {bar.alert !== null && <i class="bar-alert" style={{ left: pct(bar.alert) }} />}
        </span>
    );
}

export function RowBar(props: { row: Row; alertPct: number; open: number | null }) {
    const { row, alertPct } = props;
    const bar = limitBar(row, alertPct, props.open);
    return (
        <span
            class="bar-box"
            role="img"
            data-testid="bar"
            data-used-pct={row.used_pct ?? undefined}
            aria-label={barWords(row, bar, alertPct)}
            {...defined("used", row.used)}
        >
            <Bar bar={bar} />
        </span>
    );
}
