// The machine and what watching it costs, on every page.
import { bytes, percent } from "../format.ts";
import { t } from "../i18n/index.ts";
import { about, cost } from "../state/app.ts";
import { hostRow } from "../state/rows.ts";
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
    const value = t("host.costValue", { cpu: percent(cpu_pct), rss: bytes(rss) });
    return <Figure label={t("host.cost")} value={value} testid="host-cost" />;
}

export function HostStrip() {
    const host = hostRow.value;
    const psi = host?.psi_some_avg10;
    const swap = host?.swap_limit === 0 ? t("host.noSwap") : `${bytes(host?.swap)} / ${bytes(host?.swap_limit)}`;
    return (
        <section class="host" aria-label={t("host.name")} data-testid="host">
            <strong class="hostname">{about.value?.host ?? t("host.name")}</strong>
            <Figure
                label={t("host.used")}
                value={`${bytes(host?.used)} / ${bytes(host?.limit)}`}
                metric="used"
                exact={host?.used ?? null}
                testid="host-used"
            />
            <Figure
                label={t("host.available")}
                value={bytes(host?.headroom)}
                metric="headroom"
                exact={host?.headroom ?? null}
                testid="host-available"
            />
            <Figure
                label={t("host.pressure")}
                value={psi === null || psi === undefined ? "-" : `${percent(psi)} %`}
                metric="psi_some_avg10"
                testid="host-psi"
            />
            <Figure label={t("host.swap")} value={swap} metric="swap" exact={host?.swap ?? null} testid="host-swap" />
            <Cost />
        </section>
    );
}
