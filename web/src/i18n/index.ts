// t("key", {name: value}): the text in the language of the page. Each file beside this one has the
// texts of one place in both languages, so that neither can be forgotten.
import { computed, signal } from "@preact/signals";
import { containerTexts } from "./container.ts";
import { frameTexts } from "./frame.ts";
import { helpTexts } from "./help.ts";
import { keysTexts } from "./keys.ts";
import { overviewTexts } from "./overview.ts";
import { stateTexts } from "./states.ts";
import { timelineTexts } from "./timeline.ts";

const TEXTS = {
    ...frameTexts,
    ...keysTexts,
    ...overviewTexts,
    ...containerTexts,
    ...timelineTexts,
    ...helpTexts,
    ...stateTexts,
} as const satisfies Record<string, readonly [string, string]>;

export type TextKey = keyof typeof TEXTS;
export type Language = "en" | "zh";
export const LANGUAGES: readonly { id: Language; name: string }[] = [
    { id: "en", name: "English" },
    { id: "zh", name: "中文" },
];

const chosen = signal("");

function ofBrowser(): Language {
    for (const tag of globalThis.navigator?.languages ?? []) {
        if (tag.startsWith("zh")) return "zh";
        if (tag.startsWith("en")) return "en";
    }
    return "en";
}

export const language = computed<Language>(() =>
    chosen.value === "zh" || chosen.value === "en" ? chosen.value : ofBrowser(),
);

/** "": the browser's. */
export function setLanguage(id: string): void {
    chosen.value = id;
    if (globalThis.document) document.documentElement.lang = language.value;
}

export type Values = Record<string, string | number>;

export function fill(text: string, values: Values = {}): string {
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

export function t(key: TextKey, values?: Values): string {
    return fill(TEXTS[key][language.value === "zh" ? 1 : 0], values);
}

/** A text whose key is made from data ("state." + word); `fallback` where there is none. */
export function tMaybe(key: string, fallback: string): string {
    return Object.hasOwn(TEXTS, key) ? t(key as TextKey) : fallback;
}
