// Which lines of a long list are in sight: the others are only room above and below.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const ALL_UP_TO = 100; // lines that are simply all made
const MORE = 12; // made beyond what is in sight, on both sides

export interface Window {
    first: number;
    end: number; // one after the last
}

/** `tops`: where each line begins, and at the end the whole height; from and to in the same px. */
export function windowOf(tops: readonly number[], from: number, to: number): Window {
    const n = tops.length - 1;
    if (n <= ALL_UP_TO) return { first: 0, end: n };
    const lineAt = (y: number): number => {
        let low = 0;
        let high = n;
        while (low < high) {
            const middle = (low + high + 1) >> 1;
            if ((tops[middle] ?? 0) <= y) low = middle;
            else high = middle - 1;
        }
        return low;
    };
    return { first: Math.max(0, lineAt(from) - MORE), end: Math.min(n, lineAt(to) + 1 + MORE) };
}

export function topsOf(heights: readonly number[]): number[] {
    const tops = [0];
    for (const height of heights) tops.push((tops[tops.length - 1] ?? 0) + height);
    return tops;
}

/** The window of lines of an element that scrolls with the page. */
export function useWindow(tops: readonly number[]): {
    window: Window;
    body: { current: HTMLDivElement | null };
} {
    const body = useRef<HTMLDivElement>(null);
    const [view, setView] = useState({ from: 0, to: 2000 });
    const look = (): void => {
        if (!body.current) return;
        const top = body.current.getBoundingClientRect().top;
        // in steps, so that most scrolling renders nothing
        const from = Math.floor(-top / 100) * 100;
        const to = Math.ceil((innerHeight - top) / 100) * 100;
        setView((before) => (before.from === from && before.to === to ? before : { from, to }));
    };
    useEffect(() => {
        let frame = 0;
        const later = (): void => {
            frame ||= requestAnimationFrame(() => {
                frame = 0;
                look();
            });
        };
        addEventListener("scroll", later, { passive: true });
        addEventListener("resize", later, { passive: true });
        return () => {
            cancelAnimationFrame(frame);
            removeEventListener("scroll", later);
            removeEventListener("resize", later);
        };
    }, []);
    useLayoutEffect(look, [tops.length, tops[tops.length - 1]]);
    return { window: windowOf(tops, view.from, view.to), body };
}
