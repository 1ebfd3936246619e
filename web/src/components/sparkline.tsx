import { sparkOf } from "../sparkline.ts";

const WIDTH = 92;
const HEIGHT = 20;
const EDGE = 2; // room for the line's thickness and the dot

/** `label`: in words, for those who do not see it. */
export function Sparkline(props: { values: readonly (number | null)[]; label: string }) {
    const { line, area, end } = sparkOf(props.values, WIDTH, HEIGHT);
    return (
        <svg
            class="sparkline"
            role="img"
            aria-label={props.label}
            viewBox={`${-EDGE} ${-EDGE} ${WIDTH + 2 * EDGE} ${HEIGHT + 2 * EDGE}`}
            width={WIDTH + 2 * EDGE}
            height={HEIGHT + 2 * EDGE}
        >
            <path class="spark-area" d={area} />
            <path class="spark-line" d={line} />
            {end && <circle class="spark-end" cx={end.x} cy={end.y} r="2" />}
        </svg>
    );
}
