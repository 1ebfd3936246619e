// The machine and what watching it costs, on every page.
import type { Row } from "../api/types.ts";
import { bytes, percent, visible } from "../format.ts";
import { t } from "../i18n/index.ts";
import { about, cost, now } from "../state/app.ts";
import { hostRow } from "../state/rows.ts";
import { shownAt } from "../state/url.ts";
import { zoneText } from "../zone.ts";
import { defined } from "./tip.tsx";

function Figure(props: { label: string; value: string; metric?: string; exact?: number | null; testid: string }) {
    return (
        <div class="figure" data-testid={props.testid} {...(props.metric ? defined(props.metric, props.exact) : {})}>
            <span class="label">{props.label}</span> <span class="value">{props.value}</span>
        </div>
    );
}

function Cost() {
    const { cpu_pct, rss } = cost.value;
    const value = cpu_pct === null ? t("host.waiting") : t("host.costValue", { cpu: percent(cpu_pct), rss: bytes(rss) });
    return <Figure label={t("host.cost")} value={value} testid="host-cost" />;
}

function swapText(row: Row): string {
    return row.swap_limit === 0 ? t("host.noSwap") : `${bytes(row.swap)} / ${bytes(row.swap_limit)}`;
}

export function HostStrip() {
    const host = hostRow.value;
    const told = (text: (row: Row) => string): string => (host ? text(host) : t("host.waiting"));
    return (
        <section class="host" aria-label={t("host.name")} data-testid="host">
            <strong class="hostname">{visible(about.value?.host ?? t("host.name"))}</strong>
            <Figure
                label={t("host.used")}
                value={told((row) => `${bytes(row.used)} / ${bytes(row.limit)}`)}
                metric="used"
                exact={host?.used ?? null}
                testid="host-used"
            />
            <Figure
                label={t("host.available")}
                value={told((row) => bytes(row.headroom))}
                metric="headroom"
                exact={host?.headroom ?? null}
                testid="host-available"
            />
            <Figure
                label={t("host.pressure")}
                value={told(({ psi_some_avg10: psi }) => (psi === null ? percent(psi) : `${percent(psi)} %`))}
                metric="psi_some_avg10"
                testid="host-psi"
            />
            <Figure label={t("host.swap")} value={told(swapText)} metric="swap" exact={host?.swap ?? null} testid="host-swap" />
            <Cost />
            <span class="soft zone" data-testid="zone">
                {t("host.zone", { zone: zoneText(shownAt.value ?? now.value) })}
            </span>
        </section>
    );
}
