/* A selector in a request, with its regular expressions; then it is asked. */
#include "web/selector.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct str text = {(const char *)data, size};
    struct selector s = {.n = 77};
    struct err err = {.text = ""};
    int r = selector_parse(text, &s, &err);

    if (r < 0) {
        assert(s.n == 77 && err.code == r && err.text[0] != '\0');
        return 0;
    }
    assert(s.n > 0 && s.n <= SELECTOR_MATCHERS);
    for (unsigned i = 0; i < s.n; i++) {
        struct selector_matcher *m = &s.m[i];
        bool is = selector_allows(&s, m->label, m->value);

        if (m->op == SELECTOR_RE || m->op == SELECTOR_NRE)
            assert(m->regex && is == selector_allows(&s, m->label, m->value));
        (void)selector_allows(&s, m->label, str_head(text, 300));
    }
    selector_done(&s);
    return 0;
}
