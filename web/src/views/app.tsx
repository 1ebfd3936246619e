// The frame: brand, navigation, connection, machine, and the view that the address names.
import { effect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { tokenWanted } from "../api/client.ts";
import { visible } from "../format.ts";
import { LANGUAGES, language, t } from "../i18n/index.ts";
import { offerKeys } from "../keys.ts";
import { about, chooseLanguage, chosenTheme, now, setTheme, shownName, togglePause } from "../state/app.ts";
import { allRows, isWorkload } from "../state/rows.ts";
import { go, goLive, linkTo, shiftRange, view, zoomRange, type Theme } from "../state/url.ts";
import { severityOf } from "../components/state.tsx";
import { Banner } from "./banner.tsx";
import { Boundary } from "./boundary.tsx";
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
    const theme = chosenTheme();
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
                onChange={(event) => chooseLanguage(event.currentTarget.value)}
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

/** What a tab among many says: how many are in trouble, or whose view it is. */
function title(): string {
    const { name, key } = view.value;
    const place = about.value?.host ?? "";
    let first = t("nav.timeline");
    if (name === "container") first = shownName.value ?? key;
    else if (name === "overview") {
        const bad = allRows.value.filter((row) => isWorkload(row) && severityOf(row.state) === "bad").length;
        first = bad > 0 ? t("title.bad", { n: bad }) : "";
    }
    return [first, place, t("app.title")].filter((text) => text !== "").map(visible).join(" - ");
}

function useTitle(): void {
    useEffect(() => effect(() => void (document.title = title())), []);
}

function Shown() {
    const name = view.value.name;
    if (tokenWanted.value) return <TokenForm />;
    if (name === "container") return <Container key={view.value.key} />;
    return name === "timeline" ? <Timeline /> : <Overview />;
}

export function App() {
    useFrameKeys();
    useTitle();
    const { name, key } = view.value;
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
            <Banner />
            <main id="main" tabIndex={-1}>
                <Boundary key={name + key}>
                    <Shown />
                </Boundary>
            </main>
            <HelpDialog />
            <Tip />
        </>
    );
}
