// The selected line: it stays with its target when lines move, and is brought into sight when keys
// move it. The name in it gets the focus, so that a screen reader follows and Enter opens.
import { signal } from "@preact/signals";
import { useLayoutEffect } from "preact/hooks";
import type { Item } from "./items.ts";

export const selected = signal<string | null>(null);

/** Groups whose rows are hidden, by their ids: of this tab, as long as it is open. */
export const closedGroups = signal<ReadonlySet<string>>(new Set());

let follow = false; // it was moved by keys: bring it into sight, and give it the focus
let hadFocus = false;

export function select(id: string | null): void {
    selected.value = id;
}

function lineOf(id: string): HTMLElement | null {
    return document.querySelector<HTMLElement>(`.lines [data-id="${CSS.escape(id)}"]`);
}

/** By so many lines, not beyond the first and the last; where none is selected, from outside. */
export function moveSelection(items: readonly Item[], by: number): void {
    if (items.length === 0) return;
    const at = items.findIndex((item) => item.id === selected.value);
    const from = at >= 0 ? at : by > 0 ? -1 : items.length;
    const next = Math.min(items.length - 1, Math.max(0, from + by));
    follow = true;
    selected.value = items[next]?.id ?? null;
}

/** After another view was shown. */
export function followAgain(): void {
    follow = selected.value !== null;
}

function bringIntoSight(top: number, height: number, body: HTMLElement): void {
    const head = document.querySelector<HTMLElement>(".list .head")?.offsetHeight ?? 0;
    const y = body.getBoundingClientRect().top + top;
    if (y < head + 8) scrollBy(0, y - head - 8);
    else if (y + height > innerHeight - 8) scrollBy(0, y + height - innerHeight + 8);
}

const TRIES = 10; // frames until a line that was out of sight is made

/** Gives the selected line the focus, as soon as it is there. */
function focusLine(id: string, tries: number): void {
    if (selected.value !== id) return;
    const line = lineOf(id);
    line?.querySelector<HTMLElement>("a, button")?.focus({ preventScroll: true });
    if (!line && tries > 0) requestAnimationFrame(() => focusLine(id, tries - 1));
}

/** After each rendering. `topOf`: where a line is in the body, also one that is not made yet. */
export function useSelection(
    items: readonly Item[],
    topOf: (index: number) => [number, number],
): void {
    useLayoutEffect(() => {
        const id = selected.value;
        const active = document.activeElement;
        const lost = hadFocus && active === document.body; // its line was moved
        if (id !== null && (follow || lost) && items.length > 0) {
            const index = items.findIndex((item) => item.id === id);
            const body = document.querySelector<HTMLElement>(".list .lines");
            if (follow && index >= 0 && body) bringIntoSight(...topOf(index), body);
            follow = false;
            if (index >= 0) focusLine(id, TRIES);
        }
        hadFocus = document.activeElement?.closest(".lines .selected") != null;
    });
}
