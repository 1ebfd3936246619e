import { bytes } from "../format.ts";
import { allRows, isWorkload } from "../state/rows.ts";
import { linkTo } from "../state/url.ts";

export function Overview() {
    return (
        <ul>
            {allRows.value.filter(isWorkload).map((row) => (
                <li key={row.key}>
                    <a href={linkTo({ name: "container", key: row.key })}>{row.name}</a> {bytes(row.used)} {row.state}
                </li>
            ))}
        </ul>
    );
}
