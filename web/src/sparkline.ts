// A curve as small as a word: the path of an SVG of the given size.

export interface Spark {
    line: string; // the d of a path
    area: string; // the same, closed at the bottom
    end: { x: number; y: number } | null; // the last value
}

/** The scale is the values' own range, but not less than a tenth of the largest, so that what hardly
 * moves is a flat line: as in the terminal. Never below 0. */
export function sparkScale(values: readonly (number | null)[]): [number, number] | null {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
        if (value === null) continue;
        low = Math.min(low, value);
        high = Math.max(high, value);
    }
    if (high === -Infinity) return null;
    const least = Math.max(Math.abs(high) / 10, Number.MIN_VALUE);
    if (high - low < least) {
        const middle = (low + high) / 2;
        low = Math.max(0, middle - least / 2);
        high = low + least;
    }
    return [low, high];
}

const short = (n: number): string => String(Math.round(n * 10) / 10);

/** `values` at equal steps, the last at the right edge; null is a gap. */
export function sparkOf(values: readonly (number | null)[], width: number, height: number): Spark {
    const scale = sparkScale(values);
    if (!scale) return { line: "", area: "", end: null };
    const [low, high] = scale;
    const step = values.length > 1 ? width / (values.length - 1) : 0;
    const yOf = (value: number): number => height - ((value - low) / (high - low)) * height;
    let line = "";
    let area = "";
    let from: number | null = null; // where the piece began
    let end: Spark["end"] = null;
    values.forEach((value, i) => {
        const x = values.length > 1 ? i * step : width;
        if (value === null) {
            if (from !== null) area += `V${short(height)}H${short(from)}Z`;
            from = null;
            return;
        }
        const y = yOf(value);
        // a lone value would be a line without length, which is not drawn: a hair's breadth is
        const piece = from === null ? `M${short(x)} ${short(y)}h.01` : `L${short(x)} ${short(y)}`;
        from ??= x;
        line += piece;
        area += piece;
        end = { x, y };
    });
    if (from !== null) area += `V${short(height)}H${short(from)}Z`;
    return { line, area, end };
}
