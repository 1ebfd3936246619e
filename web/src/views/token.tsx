import { useRef } from "preact/hooks";
import { setToken, token } from "../api/client.ts";
import { t } from "../i18n/index.ts";

export function TokenForm() {
    const input = useRef<HTMLInputElement>(null);
    const wrong = token() !== null; // there is one, and the agent asks again
    return (
        <form
            class="card token"
            data-testid="token-form"
            onSubmit={(event) => {
                event.preventDefault();
                setToken(input.current?.value.trim() ?? "");
            }}
        >
            <h1>{t("token.title")}</h1>
            <p>{t("token.text")}</p>
            {wrong && <p class="error" role="alert">{t("token.wrong")}</p>}
            <label>
                {t("token.label")} <input ref={input} type="password" autocomplete="off" required />
            </label>{" "}
            <button type="submit">{t("token.submit")}</button>
        </form>
    );
}
