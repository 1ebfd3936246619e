// Keys, words for states, and the definitions of all numbers.
import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { STATE_WORDS, StatePill, stateHelp } from "../components/state.tsx";
import { t } from "../i18n/index.ts";
import { offeredKeys } from "../keys.ts";
import { about } from "../state/app.ts";
import { definitionOf } from "./tip.tsx";
import "./help.css";

export const helpOpen = signal(false);

function Keys() {
    return (
        <dl class="keys">
            {offeredKeys().map((action) => (
                <div key={action.shown}>
                    <dt>
                        <kbd>{action.shown}</kbd>
                    </dt>
                    <dd>{t(action.help)}</dd>
                </div>
            ))}
        </dl>
    );
}

function States() {
    return (
        <dl class="states">
            {STATE_WORDS.slice(1)
                .reverse()
                .map((word) => (
                    <div key={word}>
                        <dt>
                            <StatePill word={word} />
                        </dt>
                        <dd>{stateHelp(word)}</dd>
                    </div>
                ))}
        </dl>
    );
}

function Numbers() {
    const wanted = useSignal("");
    const metrics = Object.entries(about.value?.metrics ?? {});
    const word = wanted.value.trim().toLowerCase();
    const found = metrics.filter(([key, info]) =>
        [key, info.name, info.source, definitionOf(key, info)].some((text) => text.toLowerCase().includes(word)),
    );
    return (
        <>
            <label>
                {t("help.search")}{" "}
                <input type="search" value={wanted.value} onInput={(event) => (wanted.value = event.currentTarget.value)} />
            </label>
            {found.length === 0 && <p class="soft">{t("help.none")}</p>}
            <dl class="numbers">
                {found.map(([key, info]) => (
                    <div key={key}>
                        <dt>{key}</dt>
                        <dd>
                            {definitionOf(key, info)}
                            <div class="soft">
                                <code>{info.source}</code> · <code>{info.name}</code>
                            </div>
                        </dd>
                    </div>
                ))}
            </dl>
        </>
    );
}

export function HelpDialog() {
    const dialog = useRef<HTMLDialogElement>(null);
    const open = helpOpen.value;
    useEffect(() => {
        if (open) dialog.current?.showModal();
        else dialog.current?.close();
    }, [open]);
    return (
        <dialog
            ref={dialog}
            class="help"
            data-testid="help-dialog"
            aria-labelledby="help-title"
            onClose={() => (helpOpen.value = false)}
            onClick={(event) => event.target === dialog.current && (helpOpen.value = false)}
        >
            {open && (
                <div class="help-body">
                    <header>
                        <h1 id="help-title">{t("help.title")}</h1>
                        <button type="button" autofocus onClick={() => (helpOpen.value = false)}>
                            {t("help.close")} <kbd>Esc</kbd>
                        </button>
                    </header>
                    <h2>{t("help.keys")}</h2>
                    <Keys />
                    <h2>{t("help.states")}</h2>
                    <p class="soft">{t("help.statesText")}</p>
                    <States />
                    <h2>{t("help.bar")}</h2>
                    <p>{t("help.barText", { alert: about.value?.marks.alert_pct ?? 90 })}</p>
                    <h2>{t("help.numbers")}</h2>
                    <p class="soft">{t("help.units")}</p>
                    <Numbers />
                </div>
            )}
        </dialog>
    );
}
