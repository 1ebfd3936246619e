// What is wrong with the agent itself: in words, on every page, as long as it is so.
import { duration, visible } from "../format.ts";
import { t } from "../i18n/index.ts";
import { about, firstVersion, health } from "../state/app.ts";

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
    const version = about.value?.version ?? null;
    const before = firstVersion.value;
    const isReplaced = version !== null && before !== null && version !== before;
    if (told.length === 0 && !isReplaced) return null;
    return (
        <div class="banner" role="alert" data-testid="banner">
            {told.map((line) => (
                <p key={line}>{line}</p>
            ))}
            {isReplaced && (
                <p data-testid="replaced">
                    {t("upgrade.text", { version: visible(version), before: visible(before) })}{" "}
                    <button type="button" onClick={() => location.reload()}>
                        {t("crash.reload")}
                    </button>
                </p>
            )}
        </div>
    );
}
