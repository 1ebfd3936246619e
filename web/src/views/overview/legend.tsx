// The bar in words, always to be seen.
import { bytes } from "../../format.ts";
import { t } from "../../i18n/index.ts";

/** The part after the colon is left out where there is little room. */
function Words(props: { text: string }) {
    const [head = "", tail] = props.text.split(/(?<=[:：])/, 2);
    return (
        <span>
            {tail === undefined ? head : head.slice(0, -1)}
            {tail !== undefined && <span class="tail">{head.slice(-1) + tail}</span>}
        </span>
    );
}

export function Legend(props: {
    alertPct: number;
    open: number | null;
    anyOpen: boolean;
    anyTaken: boolean;
}) {
    const signs: [string, string][] = [
        ["used", t("legend.used")],
        ["reclaimable", t("legend.reclaimable")],
        ["alert", t("legend.alert", { pct: props.alertPct })],
        ["high", t("legend.high")],
        ["end", t("legend.end")],
    ];
    if (props.anyTaken) signs.push(["others", t("legend.others")]);
    if (props.anyOpen) signs.push(["open", t("legend.open", { scale: bytes(props.open) })]);
    return (
        <ul class="legend" data-testid="legend" aria-label={t("legend.label")}>
            {signs.map(([sign, text]) => (
                <li key={sign}>
                    <span class={`sign sign-${sign}`} aria-hidden="true" /> <Words text={text} />
                </li>
            ))}
        </ul>
    );
}
