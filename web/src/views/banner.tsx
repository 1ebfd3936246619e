// What is wrong with the agent itself: in words, on every page, as long as it is so.
import { duration } from "../format.ts";
import { t } from "../i18n/index.ts";
import { health } from "../state/app.ts";

function lines(): string[] {
    const { collector, store } = health.value ?? {};
    const out: string[] = [];
    if (collector?.away) out.push(t("health.away", { age: duration(collector.age_ms === null ? null : collector.age_ms / 1000) }));
    if (store?.broken) out.push(t("health.store", { text: store.text ?? "?" }));
    if (store?.notice) out.push(t("health.notice", { text: store.notice }));
    return out;
}

export function Banner() {
    const told = lines();
    if (told.length === 0) return null;
    return (
        <div class="banner" role="alert" data-testid="banner">
            {told.map((line) => (
                <p key={line}>{line}</p>
            ))}
        </div>
    );
}
