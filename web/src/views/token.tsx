import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { isToken, setToken, token } from "../api/client.ts";
import { t } from "../i18n/index.ts";

export function TokenForm() {
    const input = useRef<HTMLInputElement>(null);
    const unfit = useSignal(false);
    const wrong = token() !== null; // there is one, and the agent asks again
    return (
        <form
            class="card token"
            data-testid="token-form"
            onSubmit={(event) => {
                event.preventDefault();
                const typed = input.current?.value.trim() ?? "";
                unfit.value = !isToken(typed);
                if (!unfit.value) setToken(typed);
            }}
        >
            <h1>{t("token.title")}</h1>
            <p>{t("token.text")}</p>
            {(unfit.value || wrong) && (
                <p class="error" role="alert" data-testid="token-error">
                    {t(unfit.value ? "token.unfit" : "token.wrong")}
                </p>
            )}
            <label>
                {t("token.label")} <input ref={input} type="password" autocomplete="off" required />
            </label>{" "}
            <button type="submit">{t("token.submit")}</button>
        </form>
    );
}
