// A bug in a view shows what to do, not a blank page; the frame around it lives on.
import { Component, type ComponentChildren } from "preact";
import { t } from "../i18n/index.ts";

export class Boundary extends Component<{ children: ComponentChildren }, { error: Error | null }> {
    override state = { error: null as Error | null };

    static override getDerivedStateFromError(error: unknown): { error: Error } {
        return { error: error instanceof Error ? error : new Error(String(error)) };
    }

    override componentDidCatch(error: unknown): void {
        console.error(error);
    }

    override render() {
        const { error } = this.state;
        if (!error) return this.props.children;
        return (
            <div class="card" role="alert" data-testid="crash">
                <h1>{t("crash.title")}</h1>
                <p>{t("crash.text")}</p>
                <pre>{error.message}</pre>
                <button type="button" onClick={() => location.reload()}>
                    {t("crash.reload")}
                </button>
            </div>
        );
    }
}
