import { t } from "../i18n/index.ts";

export function Timeline() {
    return <h1>{t("nav.timeline")}</h1>;
}
