// The frame: brand, navigation, connection, machine, and the view that the address names.
import { useEffect } from "preact/hooks";
import { tokenWanted } from "../api/client.ts";
import { LANGUAGES, language, t } from "../i18n/index.ts";
import { offerKeys } from "../keys.ts";
import { now, setTheme, togglePause } from "../state/app.ts";
import { go, goLive, linkTo, shiftRange, view, zoomRange, type Theme } from "../state/url.ts";
import { Container } from "./container.tsx";
import { HelpDialog, helpOpen } from "./help.tsx";
import { HostStrip } from "./host.tsx";
import { LinkBadge } from "./linkbadge.tsx";
import { Overview } from "./overview.tsx";
import { Timeline } from "./timeline.tsx";
import { Tip } from "./tip.tsx";
import { TokenForm } from "./token.tsx";

const SHIFT = 1 / 8;

function useFrameKeys(): void {
    useEffect(
        () =>
            offerKeys([
                { keys: ["?"], shown: "?", help: "keys.help", run: () => (helpOpen.value = !helpOpen.value) },
                { keys: [" "], shown: "Space", help: "keys.pause", run: togglePause },
                { keys: ["["], shown: "[", help: "keys.back", run: () => shiftRange(-SHIFT, now.value) },
                { keys: ["]"], shown: "]", help: "keys.forward", run: () => shiftRange(SHIFT, now.value) },
                { keys: ["{"], shown: "{", help: "keys.backWindow", run: () => shiftRange(-1, now.value) },
                { keys: ["}"], shown: "}", help: "keys.forwardWindow", run: () => shiftRange(1, now.value) },
                { keys: ["+", "="], shown: "+", help: "keys.zoomIn", run: () => zoomRange(1 / 2, now.value) },
                { keys: ["-"], shown: "-", help: "keys.zoomOut", run: () => zoomRange(2, now.value) },
                { keys: ["0", "n"], shown: "0", help: "keys.now", run: goLive },
                { keys: ["t"], shown: "t", help: "keys.timeline", run: () => go({ name: "timeline" }) },
                { keys: ["o"], shown: "o", help: "keys.overview", run: () => go({ name: "overview" }) },
            ]),
        [],
    );
}

function NavLink(props: { name: "overview" | "timeline"; text: string }) {
    const current = view.value.name === props.name;
    return (
        <a href={linkTo({ name: props.name, key: "" })} aria-current={current ? "page" : undefined}>
            {props.text}
        </a>
    );
}

function Choices() {
    const theme = view.value.theme;
    return (
        <div class="choices">
            <select
                aria-label={t("theme.label")}
                data-testid="theme"
                value={theme}
                onChange={(event) => setTheme(event.currentTarget.value as Theme)}
            >
                <option value="auto">{t("theme.auto")}</option>
                <option value="dark">{t("theme.dark")}</option>
                <option value="light">{t("theme.light")}</option>
            </select>
            <select
                aria-label={t("lang.label")}
                data-testid="language"
                value={language.value}
                onChange={(event) => go({ lang: event.currentTarget.value }, true)}
            >
                {LANGUAGES.map(({ id, name }) => (
                    <option key={id} value={id} lang={id}>
                        {name}
                    </option>
                ))}
            </select>
            <button type="button" class="plain" data-testid="help" aria-label={t("nav.help")} onClick={() => (helpOpen.value = true)}>
                ?
            </button>
        </div>
    );
}

export function App() {
    useFrameKeys();
    const name = view.value.name;
    return (
        <>
            <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>
                {t("app.skip")}
            </a>
            <header class="top">
                <a class="brand" href={linkTo({ name: "overview", key: "" })}>
                    <span class="mark" aria-hidden="true" />
                    {t("app.title")}
                </a>
                <nav>
                    <NavLink name="overview" text={t("nav.overview")} />
                    <NavLink name="timeline" text={t("nav.timeline")} />
                </nav>
                <LinkBadge />
                <Choices />
            </header>
            <HostStrip />
            <main id="main" tabIndex={-1}>
                {tokenWanted.value ? (
                    <TokenForm />
                ) : name === "container" ? (
                    <Container key={view.value.key} />
                ) : name === "timeline" ? (
                    <Timeline />
                ) : (
                    <Overview />
                )}
            </main>
            <HelpDialog />
            <Tip />
        </>
    );
}
