// The keyboard: views offer actions for keys while they are shown, and the help lists them. The keys
// are those of `plimsoll top`.
import type { TextKey } from "./i18n/index.ts";

export interface KeyAction {
    keys: readonly string[]; // as KeyboardEvent.key has them
    shown: string; // in the help
    help: TextKey;
    run(event: KeyboardEvent): void;
}

const layers: (readonly KeyAction[])[] = [];

/** The last that was offered is asked first. Gives the function that takes it away. */
export function offerKeys(actions: readonly KeyAction[]): () => void {
    layers.unshift(actions);
    return () => {
        const at = layers.indexOf(actions);
        if (at >= 0) layers.splice(at, 1);
    };
}

export function offeredKeys(): readonly KeyAction[] {
    const seen = new Set<string>();
    return layers.flat().filter((action) => {
        if (seen.has(action.shown)) return false;
        seen.add(action.shown);
        return true;
    });
}

function isTyping(target: EventTarget | null): boolean {
    return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** A focused button has Enter and Space for itself, a link Enter. */
function isPressed({ key, target }: KeyboardEvent): boolean {
    if (!(target instanceof HTMLElement)) return false;
    if (target.closest("button, summary")) return key === "Enter" || key === " ";
    return key === "Enter" && target.closest("a[href]") !== null;
}

export function listenToKeys(): void {
    document.addEventListener("keydown", (event) => {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
        if (isTyping(event.target) || isPressed(event)) return;
        for (const layer of layers)
            for (const action of layer)
                if (action.keys.includes(event.key)) {
                    event.preventDefault();
                    action.run(event);
                    return;
                }
    });
}
