import { useRef } from "preact/hooks";
import { setToken } from "../api/client.ts";
import { t } from "../i18n/index.ts";
import { reconnect } from "../state/app.ts";

export function TokenForm() {
    const input = useRef<HTMLInputElement>(null);
    return (
        <form
            class="card token"
            data-testid="token-form"
            onSubmit={(event) => {
                event.preventDefault();
                setToken(input.current?.value.trim() ?? "");
                reconnect();
            }}
        >
            <h1>{t("token.title")}</h1>
            <p>{t("token.text")}</p>
            <label>
                {t("token.label")} <input ref={input} type="password" autocomplete="off" required />
            </label>{" "}
            <button type="submit">{t("token.submit")}</button>
        </form>
    );
}
