// The moment's parts as one bar, as long as the limit when the chart shows that.
import { bytes, exactBytes } from "../../format.ts";
import { t } from "../../i18n/index.ts";
import { PARTS } from "../../parts.ts";
import { isNear, type Marks, type Moment } from "./moment.ts";

function width(part: number, whole: number): { width: string } {
    return { width: `${whole > 0 ? Math.min(100, (part / whole) * 100) : 0}%` };
}

export function PartBar(props: { now: Moment; marks: Marks }) {
    const { parts, usage, limit, high } = props.now;
    const { alertPct } = props.marks;
    if (!parts || usage === null)
        return <div class="composition-bar unknown">{t("common.unknown")}</div>;
    const near = limit !== null && isNear(limit, props.marks);
    const whole = near ? Math.max(limit, usage) : usage;
    const at = (mark: number) => ({ left: `${Math.min(100, (mark / whole) * 100)}%` });
    const words = PARTS.map(({ id }) => `${t(`part.${id}`)} ${bytes(parts[id])}`).join(", ");
    return (
        <div class="composition-bar" role="img" aria-label={words}>
            {PARTS.map((part) => (
                <span
                    key={part.id}
                    class={`area area-${part.id}`}
                    style={width(parts[part.id], whole)}
                    title={`${t(`part.${part.id}`)}: ${exactBytes(parts[part.id])}`}
                />
            ))}
            {near && (
                <span class="bar-mark bar-mark-alert" style={at((limit * alertPct) / 100)} />
            )}
            {near && high !== null && high <= limit && (
                <span class="bar-mark bar-mark-high" style={at(high)} />
            )}
        </div>
    );
}
