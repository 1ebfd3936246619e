// A chart's numbers as a table, the newest first.
import { count, moment } from "../format.ts";
import { t } from "../i18n/index.ts";
import type { Sheet } from "./export.ts";

const MOST_ROWS = 300;

function numberText(value: number | null | undefined): string {
    if (value === null || value === undefined) return "-";
    return Number.isInteger(value) ? count(value) : value.toFixed(3);
}

export function SheetTable(props: { sheet: Sheet }) {
    const { sheet } = props;
    const rows = sheet.at
        .map((_, row) => row)
        .filter((row) => sheet.columns.some((column) => (column[row] ?? null) !== null))
        .reverse();
    return (
        <div
            class="scroll sheet"
            role="region"
            aria-label={sheet.title}
            tabIndex={0}
            data-testid="sheet"
        >
            <table>
                <thead>
                    <tr>
                        <th scope="col">{t("chart.time")}</th>
                        {sheet.names.map((name) => (
                            <th key={name} scope="col" class="num">
                                {name}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {rows.slice(0, MOST_ROWS).map((row) => (
                        <tr key={sheet.at[row]}>
                            <th scope="row">{moment(sheet.at[row] ?? 0)}</th>
                            {sheet.columns.map((column, i) => (
                                <td key={i} class="num">
                                    {numberText(column[row])}
                                </td>
                            ))}
                        </tr>
                    ))}
                </tbody>
            </table>
            {rows.length > MOST_ROWS && (
                <p class="soft">{t("chart.tableCut", { n: MOST_ROWS, total: rows.length })}</p>
            )}
        </div>
    );
}
