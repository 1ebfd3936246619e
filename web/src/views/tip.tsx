// What a number is and which kernel file it is from: one small window for whatever is pointed at,
// tapped or focused. Elements say what they show with {...defined("used", value)}.
import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { MetricInfo } from "../api/types.ts";
import { exactBytes } from "../format.ts";
import { language, tMaybe } from "../i18n/index.ts";
import { metricZh } from "../i18n/metrics.ts";
import { about } from "../state/app.ts";

export interface DefinedAttributes {
    "data-metric": string;
    "data-exact"?: string;
}

/** `metric`: the JSON key of metric.def. `exact`: bytes; left out where there are none. */
export function defined(metric: string, exact?: number | null): DefinedAttributes {
    return exact === undefined ? { "data-metric": metric } : { "data-metric": metric, "data-exact": exactBytes(exact) };
}

export function definitionOf(key: string, info: MetricInfo | undefined): string {
    const english = info?.help ?? tMaybe(`def.${key}`, key);
    return language.value === "zh" ? (metricZh[key] ?? english) : english;
}

interface Shown {
    at: DOMRect;
    element: HTMLElement;
}

const shown = signal<Shown | null>(null);
const DELAY_MS = 350;
const GAP = 6;

function hide(): void {
    shown.value?.element.removeAttribute("aria-describedby");
    shown.value = null;
}

function show(element: HTMLElement): void {
    hide();
    element.setAttribute("aria-describedby", "tip");
    shown.value = { at: element.getBoundingClientRect(), element };
}

function target(event: Event): HTMLElement | null {
    return event.target instanceof Element ? event.target.closest<HTMLElement>("[data-metric]") : null;
}

/** One set of listeners for the whole page. Gives the function that takes them away. */
function listen(): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const later = (element: HTMLElement): void => {
        clearTimeout(timer);
        timer = setTimeout(() => element.isConnected && show(element), DELAY_MS);
    };
    const handlers: [string, (event: Event) => void][] = [
        ["pointerover", (event) => {
            const element = target(event);
            if (element === shown.value?.element) return;
            clearTimeout(timer);
            hide();
            if (element) later(element);
        }],
        ["focusin", (event) => {
            const element = target(event);
            if (element) later(element);
        }],
        ["focusout", () => (clearTimeout(timer), hide())],
        ["scroll", () => (clearTimeout(timer), hide())],
        ["keydown", (event) => {
            if ((event as KeyboardEvent).key === "Escape") hide();
        }],
    ];
    for (const [name, handler] of handlers) document.addEventListener(name, handler, { passive: true, capture: true });
    return () => {
        clearTimeout(timer);
        for (const [name, handler] of handlers) document.removeEventListener(name, handler, { capture: true });
    };
}

/** Below what is pointed at, or above where there is no room; never over it. */
function place(tip: HTMLElement, at: DOMRect): void {
    const { width, height } = tip.getBoundingClientRect();
    const below = at.bottom + GAP + height <= innerHeight;
    tip.style.left = `${Math.max(GAP, Math.min(at.left, innerWidth - width - GAP))}px`;
    tip.style.top = `${below ? at.bottom + GAP : Math.max(GAP, at.top - GAP - height)}px`;
}

export function Tip() {
    const element = useRef<HTMLDivElement>(null);
    const now = shown.value;
    useEffect(listen, []);
    useLayoutEffect(() => {
        if (now && element.current) place(element.current, now.at);
    }, [now]);
    if (!now) return null;
    const key = now.element.dataset.metric ?? "";
    const info = about.value?.metrics[key];
    return (
        <div ref={element} id="tip" role="tooltip" class="tip" data-testid="tip">
            <strong>{key}</strong>
            {now.element.dataset.exact && <span class="exact">{now.element.dataset.exact}</span>}
            <p>{definitionOf(key, info)}</p>
            {info && (
                <p class="source">
                    <code>{info.source}</code>
                    <br />
                    <code>{info.name}</code>
                </p>
            )}
        </div>
    );
}
