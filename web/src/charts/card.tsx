// A chart with its title, what its lines are and are worth at the moment, and its files.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import type uPlot from "uplot";
import { asCurl } from "../api/client.ts";
import { moment, visible } from "../format.ts";
import { t } from "../i18n/index.ts";
import { defined } from "../views/tip.tsx";
import { CopyButton } from "./copybutton.tsx";
import { csvOf, download, fileName, jsonOf, type Sheet } from "./export.ts";
import type { ChartGroup } from "./group.ts";
import { Plot, type PlotProps } from "./plot.tsx";
import { pictureOf, type PictureEntry } from "./png.ts";
import { SheetTable } from "./sheettable.tsx";

export interface LegendEntry {
    name: string;
    label: string;
    colour: string;
    dash: readonly number[] | null; // null: an area
    hatched?: boolean;
    metric?: string; // its definition
    value: string; // at the moment
    exact?: number | null; // in bytes
}

export interface CardProps extends Omit<PlotProps, "label" | "onPlot"> {
    id: string; // "psi": of the test id and the files
    title: string;
    hint?: string;
    target: string;
    summary: string; // the chart in words
    sheet: () => Sheet;
    path: () => string; // the request that has these numbers
    legend: readonly LegendEntry[];
    legendInside?: boolean; // false: whoever uses it shows a legend of their own
    empty?: ComponentChildren; // instead of a plot
    above?: ComponentChildren; // between head and plot
}

/** A stroke as it is drawn in the chart. */
export function LineSwatch(props: { colour: string; dash: readonly number[] | null }) {
    return (
        <svg class="line-swatch" width="22" height="10" aria-hidden="true">
            <line
                x1="0"
                y1="5"
                x2="22"
                y2="5"
                stroke={`var(${props.colour})`}
                stroke-width="2.5"
                stroke-dasharray={props.dash?.join(" ")}
            />
        </svg>
    );
}

function Legend(props: { entries: readonly LegendEntry[] }) {
    return (
        <ul class="chart-legend">
            {props.entries.map((entry) => (
                <li
                    key={entry.name}
                    data-testid={`value-${entry.name}`}
                    {...(entry.metric ? defined(entry.metric, entry.exact) : {})}
                >
                    <LineSwatch colour={entry.colour} dash={entry.dash} />
                    <span>{entry.label}</span> <b class="num">{entry.value}</b>
                </li>
            ))}
        </ul>
    );
}

interface ActionsProps {
    card: CardProps;
    plot: { current: uPlot | null };
    isTable: boolean;
    onTable: () => void;
}

function pictureEntry(entry: LegendEntry): PictureEntry {
    const { label, colour, dash, hatched = false } = entry;
    return { label, colour, dash, hatched };
}

function spanText(group: ChartGroup): string {
    const { from_ms, to_ms } = group.span.peek();
    return `${moment(from_ms)} – ${moment(to_ms)}`;
}

function Actions({ card, plot, isTable, onTable }: ActionsProps) {
    const save = (suffix: string, blob: Blob): void => {
        download(fileName(card.target, card.id, card.group.span.peek().to_ms, suffix), blob);
    };
    const savePicture = async (): Promise<void> => {
        if (!plot.current) return;
        const title = `${visible(card.target)}: ${card.title}`;
        const blob = await pictureOf(
            plot.current,
            title,
            spanText(card.group),
            card.legend.map(pictureEntry),
        );
        if (blob) save("png", blob);
    };
    return (
        <div class="actions" role="group" aria-label={t("chart.actions", { chart: card.title })}>
            <button
                type="button"
                class="quiet"
                aria-pressed={isTable}
                data-testid="show-table"
                onClick={onTable}
            >
                {t("chart.table")}
            </button>
            <button
                type="button"
                class="quiet"
                data-testid="export-csv"
                title={t("chart.saveAs", { type: "CSV" })}
                onClick={() =>
                    save("csv", new Blob([csvOf(card.sheet())], { type: "text/csv;charset=utf-8" }))
                }
            >
                CSV
            </button>
            <button
                type="button"
                class="quiet"
                data-testid="export-json"
                title={t("chart.saveAs", { type: "JSON" })}
                onClick={() =>
                    save("json", new Blob([jsonOf(card.sheet())], { type: "application/json" }))
                }
            >
                JSON
            </button>
            <button
                type="button"
                class="quiet"
                data-testid="export-png"
                title={t("chart.saveAs", { type: "PNG" })}
                disabled={isTable || card.empty !== undefined}
                onClick={() => void savePicture()}
            >
                PNG
            </button>
            <CopyButton
                text={() => asCurl(card.path())}
                label={t("chart.curlHelp")}
                testid="copy-curl"
            >
                curl
            </CopyButton>
        </div>
    );
}

export function ChartCard(props: CardProps) {
    const plot = useRef<uPlot | null>(null);
    const isTable = useSignal(false);
    const heading = `heading-${props.id}`;
    return (
        <section class="card chart" data-testid={`chart-${props.id}`} aria-labelledby={heading}>
            <header>
                <h2 id={heading} title={props.hint}>
                    {props.title}
                </h2>
                {props.legendInside !== false && <Legend entries={props.legend} />}
                <Actions
                    card={props}
                    plot={plot}
                    isTable={isTable.value}
                    onTable={() => (isTable.value = !isTable.value)}
                />
            </header>
            {props.above}
            {props.empty !== undefined ? (
                <p class="soft chart-empty">{props.empty}</p>
            ) : isTable.value ? (
                <SheetTable sheet={props.sheet()} />
            ) : (
                <Plot {...props} label={props.summary} onPlot={(u) => (plot.current = u)} />
            )}
        </section>
    );
}
