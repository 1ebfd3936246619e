// The pinned moment is kept in the address, so that a link shows it.
import { effect } from "@preact/signals";
import { useLayoutEffect } from "preact/hooks";
import type { ChartGroup } from "../../charts/group.ts";
import { go, view } from "../../state/url.ts";

function pinOf(text: string): number | null {
    return /^\d{12,14}$/.test(text) ? Number(text) : null;
}

export function usePinInAddress(group: ChartGroup): void {
    useLayoutEffect(() => {
        const stops = [
            effect(() => {
                const pinned = pinOf(view.value.cursor);
                if (group.pinned.peek() !== pinned) group.pinned.value = pinned;
            }),
            effect(() => {
                const pinned = group.pinned.value;
                if (pinOf(view.peek().cursor) !== pinned)
                    go({ cursor: pinned === null ? "" : String(Math.round(pinned)) }, true);
            }),
        ];
        return () => stops.forEach((stop) => stop());
    }, [group]);
}
